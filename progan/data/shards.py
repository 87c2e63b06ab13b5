"""A dataset made in parts, on many machines, and put together."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.array_files import DatasetArrays, ImageChunk
from progan.data.format import (
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARK_SHAPE,
    MAX_SHARD_BYTES,
    DatasetInfo,
    compute_rows_per_shard,
)
from progan.data.image_source import ImageSource, Sample
from progan.data.reader import Dataset, find_damaged_files
from progan.errors import UserError
from progan.runtime.files import (
    clear_folder,
    require_free_space,
    staging_directory,
    write_atomically,
)
from progan.runtime.text import format_count, pluralize

COMMON = ("resolution", "base", "channels", "label_names", "has_landmarks", "source", "options")
_CHUNK_BYTES = 64 * 2**20  # of one level


@dataclass(frozen=True, slots=True)
class DatasetShard:
    """One of `total` parts of equal size, counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "DatasetShard":
        """'3/10' -> Part(3, 10); raises UserError."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UserError(f"--shard {text!r} is not a part such as 3/10, the third of ten.")
        return cls(int(match[1]), int(match[2]))

    def folder(self, dest: Path) -> Path:
        """Where this part of `dest` is made: DEST.part-03-of-10."""
        digits = len(str(self.total))
        return dest.with_name(f"{dest.name}.part-{self.number:0{digits}d}-of-{self.total}")

    def rows(self, count: int) -> range:
        """The numbers of its images among `count`."""
        return range(count * (self.number - 1) // self.total, count * self.number // self.total)


def select_shard(source: ImageSource, part: DatasetShard) -> ImageSource:
    """The images of one part, in their order; raises UserError if it has none."""
    if part.total > source.count:
        raise UserError(
            f"{source.description} has "
            f"{format_count(source.count, 'image')}, too few for {part.total} parts. "
            f"Ask for {source.count} or less with --shard."
        )
    rows, held_out = part.rows(source.count), source.held_out
    if held_out is not None:
        held_out = held_out[(held_out >= rows.start) & (held_out < rows.stop)] - rows.start
    return replace(
        source,
        count=len(rows),
        read=_Shifted(source.read, rows.start),
        held_out=held_out,
        labels=None if source.labels is None else source.labels[rows.start : rows.stop],
        # Of the whole source: reported by the first shard only.
        skipped=source.skipped if part.number == 1 else (),
    )


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Reads images by their number in a part; picklable if `read` is."""

    read: Callable[[int], Sample]
    first: int

    def __call__(self, row: int) -> Sample:
        return self.read(self.first + row)


def merge_shards(dest: Path) -> DatasetInfo:
    """Put the parts of `dest`, which lie beside it, together; they stay as they are.

    Raises:
        UserError: Parts are missing, damaged, or of different datasets; or there is no room.
    """
    parts = [Dataset.open(folder) for folder in _find_shards(dest)]
    plan = _plan_merged(dest, parts)
    damage = [
        f"{part.path}: {fault}"
        for part in parts
        for fault in find_damaged_files(part.path, part.info)
    ]
    if damage:
        raise UserError(
            f"Parts of {dest} are damaged:\n  " + "\n  ".join(damage) + "\nMake these parts again."
        )
    require_free_space(dest, plan.num_bytes, f"{dest}")
    with staging_directory(dest) as directory:
        clear_folder(directory)
        arrays = DatasetArrays(directory, plan, 0)
        try:
            for chunk in tqdm(
                _read_chunks(parts, plan), unit="chunk", desc=dest.name, disable=None
            ):
                arrays.append(chunk)
            everything = [np.arange(len(part)) for part in parts]
            if plan.label_names:
                arrays.append_to(
                    LABELS_FILE,
                    np.concatenate(
                        [part.labels(rows) for part, rows in zip(parts, everything, strict=True)]
                    ),
                )
            starts = np.cumsum([0, *map(len, parts)])
            arrays.append_to(
                HOLDOUT_FILE,
                np.concatenate(
                    [part.held_out_rows + start for part, start in zip(parts, starts, strict=False)]
                ),
            )
            info = replace(plan, checksums=arrays.finish(plan))
        finally:
            arrays.close()
        write_atomically(directory / INFO_FILE, info.to_json())
    return info


def _find_shards(dest: Path) -> list[Path]:
    """The folders of all parts, in their order."""
    found = sorted(dest.parent.glob(f"{dest.name}.part-*-of-*"))
    totals = {path.name.rpartition("-")[2] for path in found}
    if len(totals) != 1:
        raise UserError(
            f"There are {'no parts' if not found else 'parts of several divisions'} "
            f"beside {dest}. Make it with --shard 1/N … N/N, one N for all."
        )
    wanted = [DatasetShard(number + 1, int(*totals)).folder(dest) for number in range(int(*totals))]
    missing = [path.name for path in wanted if not (path / INFO_FILE).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of the {format_count(len(wanted), 'part')} of {dest} "
            f"{pluralize(len(missing), 'is', 'are')} missing or unfinished: "
            f"{', '.join(missing[:10])}{' …' * (len(missing) > 10)}. "
            "Make them first."
        )
    return wanted


def _plan_merged(dest: Path, parts: list[Dataset]) -> DatasetInfo:
    """What the whole dataset is; its arrays have no checksums yet."""
    infos = [part.info for part in parts]
    first = infos[0]
    for part in parts:
        for name in COMMON:
            its, wanted = getattr(part.info, name), getattr(first, name)
            if its != wanted:
                raise UserError(
                    f"{part.path} is of another dataset than the first part: its "
                    f"{name} is {its!r}, not {wanted!r}. Make the parts with the same "
                    "options."
                )
    count = sum(info.count for info in infos)
    return replace(
        first,
        name=dest.name,
        count=count,
        checksums={},
        rows_per_shard=compute_rows_per_shard(
            first.resolution, first.channels, count, MAX_SHARD_BYTES, first.base
        ),
        holdout_count=sum(info.holdout_count for info in infos),
        webp_bytes={
            level: sum(info.webp_bytes[level] for info in infos) for level in first.webp_bytes
        },
        skipped=tuple(item for info in infos for item in info.skipped),
    )


def _read_chunks(parts: list[Dataset], plan: DatasetInfo) -> Iterator[ImageChunk]:
    step = max(_CHUNK_BYTES // (plan.top_size.pixels * plan.channels), 1)
    for part in parts:
        for start in range(0, len(part), step):
            rows = np.arange(start, min(start + step, len(part)))
            points: npt.NDArray[np.float32] = (
                part.landmarks(rows)
                if plan.has_landmarks
                else np.empty((0, *LANDMARK_SHAPE), np.float32)
            )
            yield ImageChunk(
                num_read=len(rows),
                landmarks=points,
                skipped=(),
                levels={
                    level: part.images(level, rows)
                    for level in plan.levels
                    if level not in plan.webp_bytes
                },
                webp={level: part.read_webp(level, rows) for level in plan.webp_bytes},
            )
