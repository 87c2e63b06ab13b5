"""Create a dataset in shards, on many machines, and merge them."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from tqdm import tqdm

from progan.data.array_files import DatasetArrays, ImageChunk
from progan.data.format import (
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARK_SHAPE,
    MAX_SHARD_BYTES,
    WHOLE_SOURCE,
    DatasetInfo,
    compute_rows_per_shard,
)
from progan.data.image_source import ImageSource, Sample
from progan.data.reader import Dataset, find_damaged_files
from progan.errors import UserError
from progan.runtime.files import (
    cleared_before_and_on_failure,
    require_free_space,
    staging_directory,
    write_atomically,
)
from progan.runtime.text import format_count, pluralize

COMMON = ("resolution", "base", "channels", "label_names", "has_landmarks", "source", "options")
_CHUNK_BYTES = 64 * 2**20  # images of the top level that are copied at once


@dataclass(frozen=True, slots=True)
class DatasetShard:
    """One of `total` parts of equal size, counted from 1."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "DatasetShard":
        """Parse '3/10' as DatasetShard(3, 10); raises UserError."""
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if not match or not 1 <= int(match[1]) <= int(match[2]):
            raise UserError(f"--shard {text!r} is not a part such as 3/10, the third of ten.")
        return cls(int(match[1]), int(match[2]))

    def folder(self, dest: Path) -> Path:
        """Return the folder of this part of `dest`: DEST.part-03-of-10."""
        digits = len(str(self.total))
        return dest.with_name(f"{dest.name}.part-{self.number:0{digits}d}-of-{self.total}")

    def rows(self, count: int) -> range:
        """Return the numbers of its images among `count`."""
        return range(count * (self.number - 1) // self.total, count * self.number // self.total)


def select_shard(source: ImageSource, part: DatasetShard) -> ImageSource:
    """Restrict a source to the images of one part; raises UserError if it has none."""
    if part.total > source.count:
        raise UserError(
            f"{source.description} has {format_count(source.count, 'image')}, too few for "
            f"{part.total} parts. Ask for {source.count} or less with --shard."
        )
    rows, held_out = part.rows(source.count), source.held_out
    if held_out is not None:
        held_out = held_out[(held_out >= rows.start) & (held_out < rows.stop)] - rows.start
        if len(held_out) == len(rows):
            raise UserError(
                f"All {format_count(len(rows), 'image')} of part {part.number}/{part.total} are "
                "held out. Ask for fewer parts with --shard."
            )
    return replace(
        source,
        count=len(rows),
        read=partial(_read_shifted, source.read, rows.start),
        held_out=held_out,
        labels=None if source.labels is None else source.labels[rows.start : rows.stop],
        # They belong to the whole source: the first shard reports them.
        skipped=source.skipped if part.number == 1 else (),
    )


def describe_whole_source(source: ImageSource) -> str:
    """Describe the images that parts divide: '12 images 5f3c…'; equal for parts that fit."""
    return f"{format_count(source.count, 'image')} {source.identity[:12]}".rstrip()


def _read_shifted(read: Callable[[int], Sample], first: int, row: int) -> Sample:
    """Read image `first + row`."""
    return read(first + row)


def merge_shards(dest: Path) -> DatasetInfo:
    """Merge the parts of `dest`, which lie beside it, into `dest`; the parts are kept.

    Raises:
        UserError: Parts are missing, damaged, or of different datasets; or the disk is full.
    """
    parts = [Dataset.open(folder) for folder in _find_shards(dest)]
    plan = _plan_merged_dataset(dest, parts)
    with staging_directory(dest) as directory, cleared_before_and_on_failure(directory):
        require_free_space(dest, plan.num_bytes, f"{dest}")
        _require_undamaged_parts(dest, parts)
        with closing(DatasetArrays(directory, plan, 0)) as arrays:
            chunks = _read_chunks_of_parts(parts, plan)
            for chunk in tqdm(chunks, unit="chunk", desc=dest.name, disable=None):
                arrays.append(chunk)
            if plan.label_names:
                labels = [part.labels(np.arange(len(part))) for part in parts]
                arrays.append_to(LABELS_FILE, np.concatenate(labels))
            starts = np.cumsum([0, *map(len, parts[:-1])])
            rows = [part.held_out_rows + start for part, start in zip(parts, starts, strict=True)]
            arrays.append_to(HOLDOUT_FILE, np.concatenate(rows))
            info = replace(plan, checksums=arrays.close_and_hash(plan))
        write_atomically(directory / INFO_FILE, info.to_json())
    return info


def _require_undamaged_parts(dest: Path, parts: Sequence[Dataset]) -> None:
    """Raise UserError that lists the damaged files of all parts, if there are any."""
    damage = [
        f"{part.path}: {fault}"
        for part in parts
        for fault in find_damaged_files(part.path, part.info)
    ]
    if damage:
        raise UserError(
            f"Parts of {dest} are damaged:\n  " + "\n  ".join(damage) + "\nMake these parts again."
        )


def _find_shards(dest: Path) -> list[Path]:
    """Return the folders of all parts in order; UserError unless all exist and are finished."""
    name = re.compile(rf"{re.escape(dest.name)}\.part-\d+-of-(\d+)")
    divisions: dict[int, list[str]] = {}  # folders by the number of parts
    for path in dest.parent.iterdir():
        if match := name.fullmatch(path.name):
            divisions.setdefault(int(match[1]), []).append(path.name)
    if not divisions:
        raise UserError(f"No parts beside {dest}. Make it with --shard 1/N … N/N, one N for all.")
    if len(divisions) > 1:
        lines = [
            f"  of {format_count(total, 'part')}: {_list_first(sorted(divisions[total]))}"
            for total in sorted(divisions)
        ]
        raise UserError(
            f"Parts of several divisions are beside {dest}:\n"
            + "\n".join(lines)
            + "\nKeep the folders of one division, and remove those of the others."
        )
    (total,) = divisions
    wanted = [DatasetShard(number + 1, total).folder(dest) for number in range(total)]
    missing = [path.name for path in wanted if not (path / INFO_FILE).is_file()]
    if missing:
        raise UserError(
            f"{len(missing)} of the {format_count(len(wanted), 'part')} of {dest} "
            f"{pluralize(len(missing), 'is', 'are')} missing or unfinished: "
            f"{_list_first(missing)}. Make them first."
        )
    return wanted


def _list_first(names: Sequence[str]) -> str:
    """Return the first ten names with commas between them, and '…' if there are more."""
    return f"{', '.join(names[:10])}{' …' * (len(names) > 10)}"


def _plan_merged_dataset(dest: Path, parts: list[Dataset]) -> DatasetInfo:
    """Describe the merged dataset without checksums; UserError if the parts do not match."""
    infos = [part.info for part in parts]
    first = infos[0]
    for part in parts:
        its, wanted = (info.options.get(WHOLE_SOURCE) for info in (part.info, first))
        if its != wanted:
            raise UserError(
                f"{part.path} is a part of other images than the first part: of {its}, not of "
                f"{wanted}. Make all parts of the same images."
            )
    for part, name in product(parts, COMMON):
        its, wanted = getattr(part.info, name), getattr(first, name)
        if its != wanted:
            raise UserError(
                f"{part.path} is of another dataset than the first part: its {name} is "
                f"{its!r}, not {wanted!r}. Make the parts with the same options."
            )
    count = sum(info.count for info in infos)
    return replace(
        first,
        name=dest.name,
        count=count,
        checksums={},
        options={name: value for name, value in first.options.items() if name != WHOLE_SOURCE},
        rows_per_shard=compute_rows_per_shard(
            first.resolution, first.channels, count, MAX_SHARD_BYTES, first.base
        ),
        holdout_count=sum(info.holdout_count for info in infos),
        webp_bytes={
            level: sum(info.webp_bytes[level] for info in infos) for level in first.webp_bytes
        },
        skipped=tuple(item for info in infos for item in info.skipped),
    )


def _read_chunks_of_parts(parts: list[Dataset], plan: DatasetInfo) -> Iterator[ImageChunk]:
    """Yield the images of all parts in order; compressed levels are copied undecoded."""
    step = max(_CHUNK_BYTES // (plan.top_size.pixels * plan.channels), 1)
    for part in parts:
        for start in range(0, len(part), step):
            rows = np.arange(start, min(start + step, len(part)))
            points = np.empty((0, *LANDMARK_SHAPE), np.float32)
            raw = [level for level in plan.levels if level not in plan.webp_bytes]
            yield ImageChunk(
                num_read=len(rows),
                landmarks=part.landmarks(rows) if plan.has_landmarks else points,
                skipped=(),
                levels={level: part.images(level, rows) for level in raw},
                webp={level: part.read_webp(level, rows) for level in plan.webp_bytes},
            )
