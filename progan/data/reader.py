"""Read a dataset, or its images of one class, through memory maps; verify checksums."""

import operator
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.array_files import decode_webp_files
from progan.data.format import (
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARKS_FILE,
    ArrayFile,
    DatasetInfo,
    describe_size_fault,
    read_info,
    require_array_files,
)
from progan.errors import UserError
from progan.invocation import command_line
from progan.runtime.files import hash_file_sha256
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize
from progan.sizes import format_level

Rows = npt.NDArray[np.int64]
# NumPy parses the header of a file as Python. CPython 3.11's parser counts its depth for threads
# together, and now and then raises SystemError if two of them parse at once.
_OPENING = threading.Lock()


class Dataset:
    """A dataset on disk, opened read-only; cheap to open, to copy and to send to workers.

    Attributes:
        path: Its folder.
        info: What `dataset.json` says.
    """

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        self.path = path
        self.info = info
        self._maps: dict[str, npt.NDArray[np.generic]] = {}

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Open the dataset in the folder `path`; raises UserError unless it is complete."""
        path = Path(path)
        info = read_info(path)
        require_array_files(path, info)
        return cls(path, info)

    def __reduce__(self) -> Any:
        # A pickled memory map would carry all its pixels; another process maps the files again.
        return Dataset, (self.path, self.info)

    def __len__(self) -> int:
        return self.info.count

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def resolution(self) -> int:
        return self.info.resolution

    @property
    def channels(self) -> int:
        return self.info.channels

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.info.label_names

    @property
    def label_size(self) -> int:
        """Number of classes; 0 without labels."""
        return len(self.info.label_names)

    @property
    def fingerprint(self) -> str:
        """Hash of the content, twelve hexadecimal digits."""
        return self.info.fingerprint

    @cached_property
    def held_out_rows(self) -> Rows:
        """Rows that training leaves out: int64 [n], ascending; UserError if they are damaged."""
        if not self.info.holdout_count:
            return np.empty(0, dtype=np.int64)
        rows = self._open_memory_map(HOLDOUT_FILE).astype(np.int64, copy=False)
        if rows[0] < 0 or rows[-1] >= len(self) or (rows[1:] <= rows[:-1]).any():
            raise UserError(
                f"{self.path / HOLDOUT_FILE} is damaged: it does not hold ascending "
                f"numbers from 0 to {len(self) - 1}. Copy the dataset again, or make "
                f"it again with {command_line('dataset')}."
            )
        return rows

    @cached_property
    def training_rows(self) -> Rows:
        """Rows to train on, all that are not held out: int64 [count - n], ascending."""
        rows = np.delete(np.arange(len(self), dtype=np.int64), self.held_out_rows)
        rows.flags.writeable = False  # callers share it
        return rows

    @cached_property
    def untrained_classes(self) -> tuple[int, ...]:
        """Classes without training images, ascending; () without labels."""
        if not self.label_size:
            return ()
        counts = np.bincount(self.labels(self.training_rows), minlength=self.label_size)
        return tuple(np.flatnonzero(counts == 0).tolist())

    def choose_level(self, resolution: int | None) -> int:
        """Return the level of --resolution, None: the top one; UserError for another value."""
        levels = {1 << level: level for level in self.info.levels}
        resolution = self.resolution if resolution is None else resolution
        if resolution not in levels:
            names = [format_level(self.info.base, level) for level in self.info.levels]
            raise UserError(
                f"{self.path} has no level of resolution {resolution}; --resolution "
                f"is one of {', '.join(names)}."
            )
        return levels[resolution]

    def images(self, level: int, rows: Rows) -> npt.NDArray[np.uint8]:
        """Return images at a level: rows [n] from 0 to count - 1 -> uint8 [n,H,W,C].

        Rows may repeat and come in any order; IndexError if one is outside.
        """
        rows = self._require_rows_inside(rows)
        if level in self.info.webp_bytes:
            return self._decode_webp(level, rows)
        files, per_shard = self.info.list_level_files(level), self.info.rows_per_shard[level]
        if len(files) == 1:
            return self._open_memory_map(files[0].name)[rows].astype(np.uint8, copy=False)
        images = np.empty((len(rows), *files[0].shape[1:]), dtype=np.uint8)
        shards = rows // per_shard
        for shard in np.unique(shards):
            places = shards == shard
            images[places] = self._open_memory_map(files[shard].name)[
                rows[places] - shard * per_shard
            ]
        return images

    def _decode_webp(self, level: int, rows: Rows) -> npt.NDArray[np.uint8]:
        """Decode images of a compressed level: uint8 [n,H,W,C]; UserError if damaged."""
        images = np.empty((len(rows), *self.info.size(level), self.channels), dtype=np.uint8)
        try:
            files = decode_webp_files(self.read_webp(level, rows), self.channels)
            for place, image in enumerate(files):
                images[place] = image
        except (OSError, ValueError) as error:
            raise UserError(
                f"Compressed images of {self.path} are damaged ({error}). "
                f"{command_line('dataset', 'verify', self.path)} lists the damaged files."
            ) from error
        return images

    def read_webp(self, level: int, rows: Rows) -> list[bytes]:
        """Return images of a compressed level as they are stored: rows [n] -> n WebP files."""
        rows = self._require_rows_inside(rows)
        files = self.info.list_level_files(level)
        data, offsets = (self._open_memory_map(file.name) for file in files)
        return [data[offsets[row] : offsets[row + 1]].tobytes() for row in rows]

    def labels(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return class indices: rows [n] -> int64 [n].

        Raises ValueError without labels, and UserError for an index without a class.
        """
        if not self.label_size:
            raise ValueError(f"{self.path} has no labels")
        stored = self._open_memory_map(LABELS_FILE)[self._require_rows_inside(rows)]
        found = stored.astype(np.int64)
        wrong = (found < 0) | (found >= self.label_size)
        if wrong.any():
            raise UserError(
                f"{self.path / LABELS_FILE} or {INFO_FILE} is damaged: there is a label "
                f"{found[wrong][0]}, and names of {self.label_size} classes. Copy the dataset "
                f"again, or make it again with {command_line('dataset')}."
            )
        return found

    def landmarks(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return five points in pixels of the top level: rows [n] -> float32 [n,5,2]."""
        if not self.info.has_landmarks:
            raise ValueError(f"{self.path} has no landmarks")
        return self._open_memory_map(LANDMARKS_FILE)[self._require_rows_inside(rows)].astype(
            np.float32, copy=False
        )

    def _require_rows_inside(self, rows: Rows) -> Rows:
        """Return rows as int64; raises IndexError unless all are 0 … count - 1."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} images")
        return rows

    def _open_memory_map(self, name: str) -> npt.NDArray[np.generic]:
        """Return an array file as a read-only memory map, opened once."""
        if name not in self._maps:
            with _OPENING:
                self._maps[name] = self._load_memory_map(self._array_files[name])
        return self._maps[name]

    def _load_memory_map(self, file: ArrayFile) -> npt.NDArray[np.generic]:
        """Open an array file; raises UserError if its header is not the one that was written."""
        path = self.path / file.name
        array: npt.NDArray[np.generic] | None
        try:
            array = np.load(path, mmap_mode="r")
        except ValueError:
            array = None
        if array is None or (array.shape, array.dtype) != (file.shape, np.dtype(file.dtype)):
            raise UserError(
                f"{path} is damaged: its header is not that of an array {file.shape}. "
                f"{command_line('dataset', 'verify', self.path)} lists all damaged files. Copy "
                "the dataset again."
            )
        # A plain array over the map: np.memmap makes every slice several times slower.
        return array.view(np.ndarray)

    @cached_property
    def _array_files(self) -> dict[str, ArrayFile]:
        return {file.name: file for file in self.info.list_array_files()}


def require_undamaged(directory: Path, info: DatasetInfo, max_level: int | None = None) -> None:
    """Read the array files up to a level; raise UserError unless they are what was written."""
    if faults := find_damaged_files(directory, info, max_level):
        raise UserError(
            f"{directory} is damaged:\n  " + "\n  ".join(faults) + "\nCopy these files "
            "again, or make the dataset again."
        )


def find_damaged_files(
    directory: Path, info: DatasetInfo, max_level: int | None = None
) -> list[str]:
    """Read the array files; return one sentence for each that is not what was written.

    Args:
        max_level: The highest level to read; None: all.
    """
    faults, files = [], info.list_array_files(max_level)
    num_bytes = sum(file.num_bytes for file in files)
    with tqdm(
        total=num_bytes, unit="B", unit_scale=True, desc="verifying", disable=None, leave=False
    ) as progress:
        for file in files:
            fault = describe_size_fault(directory, file)
            if not fault and hash_file_sha256(directory / file.name) != info.checksums.get(
                file.name
            ):
                fault = f"{file.name} has other content than when it was written"
            faults += [fault] * bool(fault)
            progress.update(file.num_bytes)
    unlisted = sorted({*info.checksums} - {file.name for file in info.list_array_files()})
    return [*faults, *(f"{INFO_FILE} has a checksum of {name}, but no use" for name in unlisted)]


def compute_holdout_size(fraction: float, count: int) -> int:
    """Return how many images `fraction` holds out: 0 of 0, else at least 1; UserError if all.

    Raises:
        UserError: None would be left to train on.
    """
    assert 0 <= fraction < 1, fraction
    size = max(1, round(fraction * count)) if fraction else 0
    if size >= count:
        raise UserError(
            f"--holdout {fraction} of {format_count(count, 'image')} keeps "
            f"{pluralize(count, 'it', 'them all')} away from training. Name a "
            "smaller fraction, take more images, or omit it."
        )
    return size


def draw_holdout_rows(size: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw `size` of the rows 0 … count - 1 without replacement: int64 [size], ascending."""
    return np.sort(numpy_generator(seed, "holdout").permutation(count)[:size]).astype(np.int64)


class ClassSubset(Dataset):
    """The images of one class: row k is the k-th of them. Classes keep their numbers and names."""

    def __init__(self, dataset: Dataset, label: int) -> None:
        super().__init__(dataset.path, dataset.info)
        self.whole, self.label = dataset, label

    def __reduce__(self) -> Any:
        return ClassSubset, (self.whole, self.label)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Rows:
        """Rows of the whole dataset, int64 [n]."""
        labels = self.whole.labels(np.arange(len(self.whole)))
        return np.flatnonzero(labels == self.label).astype(np.int64)

    @property
    def name(self) -> str:
        return f"{self.whole.name}-{self.label_names[self.label]}"

    @property
    def fingerprint(self) -> str:
        return f"{self.whole.fingerprint}-{self.label}"

    @cached_property
    def held_out_rows(self) -> Rows:
        return np.flatnonzero(np.isin(self.rows, self.whole.held_out_rows)).astype(np.int64)

    def images(self, level: int, rows: Rows) -> npt.NDArray[np.uint8]:
        return self.whole.images(level, self._to_whole_rows(rows))

    def read_webp(self, level: int, rows: Rows) -> list[bytes]:
        return self.whole.read_webp(level, self._to_whole_rows(rows))

    def labels(self, rows: Rows) -> npt.NDArray[np.int64]:
        return self.whole.labels(self._to_whole_rows(rows))

    def landmarks(self, rows: Rows) -> npt.NDArray[np.float32]:
        return self.whole.landmarks(self._to_whole_rows(rows))

    def _to_whole_rows(self, rows: Rows) -> Rows:
        return self.rows[self._require_rows_inside(rows)]


def select_class(dataset: Dataset, name: str | SupportsIndex) -> Dataset:
    """Return the images of a class, given by name or index; UserError for an unknown one.

    Args:
        name: A text is a name, or else the digits of an index; an integer is an index.
    """
    names = dataset.label_names
    index = find_class_index(names, name)
    if index is None:
        known = ", ".join(f"{index} {known}" for index, known in enumerate(names[:20]))
        more = " …" if len(names) > 20 else ""
        fault = f"no such class. Classes: {known}{more}." if names else "no classes."
        raise UserError(f"--subset {name}: {dataset.path} has {fault}")
    chosen = ClassSubset(dataset, index)
    if not len(chosen.training_rows):
        raise UserError(f"--subset {name}: {dataset.path} has no image of it to train on.")
    return chosen


def find_class_index(names: Sequence[str], name: str | SupportsIndex) -> int | None:
    """Return the index of a class given by name or index; None: no such class."""
    if isinstance(name, str):
        if name in names:
            return names.index(name)
        index = int(name) if name.isdecimal() else -1
    else:
        try:
            index = operator.index(name)
        except TypeError:  # such as 1.5
            return None
    return index if 0 <= index < len(names) else None


def open_dataset(data: Path, class_name: str | SupportsIndex) -> Dataset:
    """Open a dataset, or its images of one class (see `select_class`), '' for all; UserError."""
    dataset = Dataset.open(data)
    is_all = isinstance(class_name, str) and not class_name
    return dataset if is_all else select_class(dataset, class_name)


def open_dataset_of_run(directory: Path, stored: str, class_name: str) -> Dataset:
    """Open the dataset of an earlier run in `directory`, at its `stored` path.

    Raises:
        UserError: It is not there, or cannot be used; names the run and the remedy.
    """
    path = Path(stored)
    if not path.exists():
        raise UserError(
            f"The dataset of the run {directory} is no longer at {path}. If it was "
            "moved, name its new place with --data."
        )
    try:
        return open_dataset(path, class_name)
    except UserError as error:
        raise UserError(
            f"The dataset of the run {directory} cannot be used. {error} If it is "
            "elsewhere now, name that place with --data."
        ) from error
