"""Layout of a dataset on disk: file names, shapes and the fields of `dataset.json`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from progan.errors import UserError
from progan.invocation import command_line
from progan.sizes import (
    MIN_LEVEL,
    SQUARE,
    Size,
    level_of,
    require_base,
    require_resolution,
    size_at_level,
)

FORMAT = "progan dataset"
FORMAT_VERSION = 1
INFO_FILE = "dataset.json"
LABELS_FILE = "labels.npy"
LANDMARKS_FILE = "landmarks.npy"
HOLDOUT_FILE = "holdout.npy"
LANDMARK_SHAPE = (5, 2)  # eyes, nose, corners of the mouth, each x, y in pixels
CHANNELS = (1, 3, 4)  # grey, RGB, RGBA
MAX_SHARD_BYTES = 8 * 2**30
MAX_SHARDS = 100_000  # files of one level; with their usual size, 800 TiB
HEADER_BYTES = 128  # a .npy header of version 1.0 with these shapes
COMPRESSED_FROM = 8  # level of --compress: all below together are an eighth of the first one
WHOLE_SOURCE = "whole_source"  # in the options of a part of a dataset: what it is a part of
TYPICAL_COMPRESSION = 3  # raw size / compressed size of photographs (docs/log.md)


@dataclass(frozen=True, slots=True)
class SkippedImage:
    """An image that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class ArrayFile:
    """Name, shape and type of one .npy file of a dataset."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # '|u1', '<i4', '<i8' or '<f4'

    @property
    def num_bytes(self) -> int:
        return self.count_bytes_of_rows(self.shape[0])

    def count_bytes_of_rows(self, num_rows: int) -> int:
        """Compute the size of the file with its first rows only."""
        return HEADER_BYTES + num_rows * prod(self.shape[1:]) * int(self.dtype[-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetInfo:
    """The content of `dataset.json`. Raises ValueError where it contradicts itself."""

    name: str  # a short name, used for run directories
    resolution: int  # side of squares at the top level, a power of two from 4 to 1024
    channels: int  # 1 grey, 3 RGB, 4 RGBA
    count: int  # number of images, at least 1
    rows_per_shard: Mapping[int, int]  # level -> images in each of its files, at most `count`
    base: Size = SQUARE  # size at level 2; shorter side 4 to 7 px, longer side 63 at most
    label_names: tuple[str, ...] = ()  # class names by index; empty without labels
    has_landmarks: bool = False  # five points for each image are stored
    holdout_count: int = 0  # number of images held out of training, fewer than `count`
    webp_bytes: Mapping[int, int] = field(default_factory=dict)  # compressed level -> size of all
    source: str = ""  # origin of the images, for people
    options: Mapping[str, Any] = field(default_factory=dict)  # JSON values by option name
    skipped: tuple[SkippedImage, ...] = ()  # images that were left out
    checksums: Mapping[str, str] = field(default_factory=dict)  # array file -> SHA-256, hexadecimal

    def __post_init__(self) -> None:
        try:
            require_resolution(self.resolution, "the resolution")
            require_base(self.base)
        except UserError as error:
            raise ValueError(str(error)) from None
        if self.channels not in CHANNELS:
            raise ValueError(f"channels is {self.channels}, not one of {CHANNELS}")
        if self.count < 1:
            raise ValueError(f"count is {self.count}: a dataset has at least one image")
        if not 0 <= self.holdout_count < self.count:
            raise ValueError(f"holdout_count is {self.holdout_count}, of {self.count} images")
        are_strings = all(isinstance(text, str) for text in (self.name, *self.label_names))
        if not are_strings or not isinstance(self.options, Mapping):
            raise ValueError("name, options or label_names are of another kind than they should be")
        rows, levels = self.rows_per_shard, tuple(self.levels)
        if tuple(sorted(rows)) != levels or min(rows.values()) < 1:
            raise ValueError(f"rows_per_shard {dict(rows)} does not fit the levels")
        if not {*self.webp_bytes} <= {*levels} or min(self.webp_bytes.values(), default=0) < 0:
            raise ValueError(f"webp_bytes {dict(self.webp_bytes)} does not fit the levels")
        if self.count > MAX_SHARDS * min(rows.values()):
            raise ValueError(f"{self.count} images do not fit rows_per_shard")

    @property
    def levels(self) -> range:
        """The levels on disk, from the base up."""
        return range(MIN_LEVEL, level_of(self.resolution) + 1)

    @property
    def top_size(self) -> Size:
        return self.size(self.levels[-1])

    def size(self, level: int) -> Size:
        return size_at_level(self.base, level)

    @property
    def fingerprint(self) -> str:
        """Hash of the content, twelve hexadecimal digits."""
        content = json.dumps([self.label_names, sorted(self.checksums.items())])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def num_bytes(self) -> int:
        """Size of all array files."""
        return sum(file.num_bytes for file in self.list_array_files())

    def list_level_files(self, level: int) -> tuple[ArrayFile, ...]:
        """Return the files of one level by their rows; of a compressed one, data and offsets."""
        if level in self.webp_bytes:
            return (
                ArrayFile(f"level-{level:02d}.webp.npy", (self.webp_bytes[level],), "|u1"),
                ArrayFile(f"level-{level:02d}.offsets.npy", (self.count + 1,), "<i8"),
            )
        rows, shape = self.rows_per_shard[level], (*self.size(level), self.channels)
        if rows >= self.count:
            return (ArrayFile(f"level-{level:02d}.npy", (self.count, *shape), "|u1"),)
        counts = [min(rows, self.count - start) for start in range(0, self.count, rows)]
        return tuple(
            ArrayFile(f"level-{level:02d}.{shard:03d}.npy", (count, *shape), "|u1")
            for shard, count in enumerate(counts)
        )

    def list_array_files(self, max_level: int | None = None) -> tuple[ArrayFile, ...]:
        """Return the array files of the dataset, from the base up to a level; None: all."""
        levels = [level for level in self.levels if max_level is None or level <= max_level]
        files = [file for level in levels for file in self.list_level_files(level)]
        if self.label_names:
            files.append(ArrayFile(LABELS_FILE, (self.count,), "<i4"))
        if self.has_landmarks:
            files.append(ArrayFile(LANDMARKS_FILE, (self.count, *LANDMARK_SHAPE), "<f4"))
        if self.holdout_count:
            files.append(ArrayFile(HOLDOUT_FILE, (self.holdout_count,), "<i8"))
        return tuple(files)

    def to_json(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields["skipped"] = [[item.path, item.reason] for item in self.skipped]
        if self.base == SQUARE:  # the default
            del fields["base"]
        document = {"format": FORMAT, "version": FORMAT_VERSION, **fields}
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "DatasetInfo":
        """Parse dataset.json; raises ValueError, KeyError, TypeError or AttributeError."""
        fields = json.loads(text)
        del fields["format"], fields["version"]
        fields["label_names"] = tuple(fields["label_names"])
        fields["skipped"] = tuple(SkippedImage(path, reason) for path, reason in fields["skipped"])
        for name in ("rows_per_shard", "webp_bytes"):
            by_level = fields[name] if name == "rows_per_shard" else fields.get(name, {})
            fields[name] = {int(level): int(value) for level, value in by_level.items()}
        fields["base"] = Size(*map(int, fields.get("base", SQUARE)))
        return cls(**fields)


def compute_rows_per_shard(
    resolution: int,
    channels: int,
    count: int,
    max_bytes: int = MAX_SHARD_BYTES,
    base: Size = SQUARE,
) -> dict[int, int]:
    """Compute for each level the rows that a file of at most `max_bytes` holds, at least 1."""
    rows = {
        level: (max_bytes - HEADER_BYTES) // (size_at_level(base, level).pixels * channels)
        for level in range(MIN_LEVEL, level_of(resolution) + 1)
    }
    return {level: max(1, min(count, fitting)) for level, fitting in rows.items()}


def read_info(directory: Path) -> DatasetInfo:
    """Read `dataset.json`; raises UserError with the fault and its remedy."""
    path = directory / INFO_FILE
    if not directory.is_dir():
        what = "is a file, not a dataset" if directory.exists() else "does not exist"
        raise UserError(
            f"{directory} {what}. Name a folder made by {command_line('dataset')} create-…."
        )
    if not path.is_file():
        raise UserError(
            f"{directory} is not a dataset: it has no {INFO_FILE}. Make one with "
            f"{command_line('dataset', 'create-from-images', '--source', directory)} --dest …"
        )
    try:
        text = path.read_text("utf-8")
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
        version = document["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise _make_damage_error(path, error) from error
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}; this progan reads version {FORMAT_VERSION}. "
            "Make the dataset again from its source, or use the progan that wrote it."
        )
    try:
        return DatasetInfo.from_json(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _make_damage_error(path, error) from error


def require_array_files(directory: Path, info: DatasetInfo) -> None:
    """Raise UserError unless every array file is there with its full size."""
    faults = [
        fault for file in info.list_array_files() if (fault := describe_size_fault(directory, file))
    ]
    if faults:
        raise UserError(
            f"The dataset {directory} is incomplete: {'; '.join(faults[:5])}"
            f"{' …' if len(faults) > 5 else ''}. Copy it again, or make it again "
            f"with {command_line('dataset')}."
        )


def describe_size_fault(directory: Path, file: ArrayFile) -> str:
    """Describe a file that is missing or of another size; '' for any other."""
    path = directory / file.name
    if not path.is_file():
        return f"{file.name} is missing"
    size = path.stat().st_size
    if size == file.num_bytes:
        return ""
    return f"{file.name} has {size} bytes instead of {file.num_bytes}"


def _make_damage_error(path: Path, error: Exception) -> UserError:
    """Return the error that dataset.json is damaged, with the remedy."""
    reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return UserError(
        f"{path} does not describe a dataset: {reason}. Restore it from a copy, or "
        f"make the dataset again with {command_line('dataset')}."
    )
