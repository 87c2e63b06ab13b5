"""Write a dataset from a source of images: in order, whole or not at all."""

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.config import level_of
from progan.data.arrays import ShardWriter
from progan.data.format import (
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARK_SHAPE,
    LANDMARKS_FILE,
    MAX_SHARD_BYTES,
    DatasetInfo,
    Skipped,
    rows_per_shard,
)
from progan.data.holdout import holdout_rows, holdout_size
from progan.data.pool import in_order, worker_pool
from progan.data.pyramid import pyramid
from progan.data.source import ImageSource, OnError, Sample, UnreadableImage
from progan.errors import UserError
from progan.runtime.files import new_directory, require_free_space, write_atomically

_CHUNK_BYTES = 8 * 2**20  # of images that one worker holds at a time
_CHUNK_ROWS = 64


def write_dataset(
    source: ImageSource, dest: Path, *, options: Mapping[str, Any] | None = None,
    workers: int = 1, on_error: OnError = "stop", holdout: float = 0.0, seed: int = 0,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> DatasetInfo:
    """Write the images of `source` to the new folder `dest` and return what was written.

    Args:
        options: What the user asked for, kept in `dataset.json`.
        workers: Threads or processes that read images.
        on_error: 'stop' at the first unreadable image, or 'skip' and list them.
        holdout: Fraction of the images written that training leaves out, in [0, 1).
        seed: Draws which ones.
        max_shard_bytes: No array file of a level becomes larger than this.

    Raises:
        UserError: No room, `dest` exists, an image is unreadable or all of them are, or none
            would be left to train on.
    """
    plan = _planned(source, dest.resolve().name, options or {}, holdout, max_shard_bytes)
    num_bytes = sum(file.num_bytes for file in plan.array_files())
    require_free_space(dest, num_bytes, f"The dataset {dest}")
    with (new_directory(dest) as directory,
          closing(_chunks(source, workers, on_error)) as chunks,
          closing(_Arrays(directory, plan)) as arrays):
        rows, skipped = _write_all(chunks, arrays, plan)
        if not rows.size:
            raise UserError(f"None of the {plan.count} images could be read; the first one: "
                            f"{skipped[0].path}: {skipped[0].reason}.")
        if source.labels is not None:
            arrays.labels.append(source.labels[rows])
        held_out = _held_out(source, rows, holdout, seed)
        info = _with_count(plan, rows.size, held_out.size, source.skipped + skipped)
        arrays.holdout.append(held_out)
        info = replace(info, checksums=arrays.finish(info))
        write_atomically(directory / INFO_FILE, info.to_json())
    return info


def _planned(
    source: ImageSource, name: str, options: Mapping[str, Any], holdout: float,
    max_shard_bytes: int,
) -> DatasetInfo:
    """What the dataset will be if every image can be read."""
    if source.count < 1:
        raise UserError(f"There is no image left to write from {source.description}.")
    return DatasetInfo(
        name=name, resolution=source.resolution, channels=source.channels, count=source.count,
        rows_per_shard=rows_per_shard(
            source.resolution, source.channels, source.count, max_shard_bytes),
        label_names=source.label_names, has_landmarks=source.has_landmarks,
        holdout_count=_held_out(source, np.arange(source.count), holdout, 0).size,
        source=source.description, options=options, skipped=source.skipped,
    )


def _with_count(
    plan: DatasetInfo, count: int, holdout_count: int, skipped: tuple[Skipped, ...]
) -> DatasetInfo:
    fewer = {level: min(rows, count) for level, rows in plan.rows_per_shard.items()}
    return replace(plan, count=count, holdout_count=holdout_count, rows_per_shard=fewer,
                   skipped=skipped)


def _held_out(
    source: ImageSource, written: npt.NDArray[np.int64], holdout: float, seed: int
) -> npt.NDArray[np.int64]:
    """Rows of the dataset that training leaves out: those of the source, or drawn ones."""
    if source.held_out is not None and not holdout:
        return np.flatnonzero(np.isin(written, source.held_out)).astype(np.int64)
    return holdout_rows(holdout_size(holdout, written.size), written.size, seed)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of a range of images."""

    num_asked: int
    kept: npt.NDArray[np.int64]  # numbers of the images that could be read, [n]
    levels: Mapping[int, npt.NDArray[np.uint8]]  # {level: [n,r,r,C]}, empty if n is 0
    landmarks: npt.NDArray[np.float32]  # [n,5,2], or [0,5,2] without landmarks
    skipped: tuple[Skipped, ...]


class _Arrays:
    """All array files of a dataset in the making."""

    def __init__(self, directory: Path, plan: DatasetInfo) -> None:
        others = {file.name: (file,) for file in plan.array_files()}
        self.levels = {level: ShardWriter(directory, plan.level_files(level))
                       for level in plan.levels}
        self.labels = ShardWriter(directory, others.get(LABELS_FILE, ()))
        self.landmarks = ShardWriter(directory, others.get(LANDMARKS_FILE, ()))
        self.holdout = ShardWriter(directory, others.get(HOLDOUT_FILE, ()))

    def append(self, chunk: Chunk) -> None:
        for level, images in chunk.levels.items():
            self.levels[level].append(images)
        self.landmarks.append(chunk.landmarks)

    def finish(self, info: DatasetInfo) -> dict[str, str]:
        """Close all files under the names that `info` gives them; return name -> SHA-256."""
        others = {file.name: (file,) for file in info.array_files()}
        checksums = self.labels.finish(others.get(LABELS_FILE, ()))
        checksums |= self.landmarks.finish(others.get(LANDMARKS_FILE, ()))
        checksums |= self.holdout.finish(others.get(HOLDOUT_FILE, ()))
        for level, writer in self.levels.items():
            checksums |= writer.finish(info.level_files(level))
        return dict(sorted(checksums.items()))

    def close(self) -> None:
        for writer in (*self.levels.values(), self.labels, self.landmarks, self.holdout):
            writer.close()


def _write_all(
    chunks: Iterable[Chunk], arrays: _Arrays, plan: DatasetInfo
) -> tuple[npt.NDArray[np.int64], tuple[Skipped, ...]]:
    """Write the chunks as they come; return the numbers of the images written, and the others."""
    kept: list[npt.NDArray[np.int64]] = []
    skipped: list[Skipped] = []
    with tqdm(total=plan.count, unit="img", desc=plan.name, disable=None) as progress:
        for chunk in chunks:
            arrays.append(chunk)
            kept.append(chunk.kept)
            skipped.extend(chunk.skipped)
            progress.update(chunk.num_asked)
    return np.concatenate(kept), tuple(skipped)


def _chunks(source: ImageSource, workers: int, on_error: OnError) -> Generator[Chunk]:
    """Yield all images of the source in order, read by the workers a few chunks ahead."""
    rows = _chunk_rows(source, workers)
    ranges = [range(start, min(start + rows, source.count))
              for start in range(0, source.count, rows)]
    with worker_pool(workers, in_processes=source.in_processes) as pool:
        yield from in_order(pool, _Job(source.read, on_error), ranges, ahead=2 * workers)


def _chunk_rows(source: ImageSource, workers: int) -> int:
    """Enough images to make the work worth its hand-over, few enough to share it evenly."""
    fitting = _CHUNK_BYTES // (source.resolution**2 * source.channels)
    return max(1, min(_CHUNK_ROWS, fitting, source.count // (4 * workers)))


@dataclass(frozen=True, slots=True)
class _Job:
    """Reads a range of images and shrinks them; picklable if `read` is."""

    read: Callable[[int], Sample]
    on_error: OnError

    def __call__(self, rows: range) -> Chunk:
        kept, samples, skipped = [], [], []
        for row in rows:
            try:
                samples.append(self.read(row))
                kept.append(row)
            except UnreadableImage as error:
                if self.on_error == "stop":
                    raise
                skipped.append(Skipped(error.path, error.reason))
        points = [item.landmarks for item in samples if item.landmarks is not None]
        return Chunk(
            num_asked=len(rows), kept=np.array(kept, dtype=np.int64),
            levels=_levels(samples) if samples else {},
            landmarks=np.array(points, dtype=np.float32).reshape(-1, *LANDMARK_SHAPE),
            skipped=tuple(skipped),
        )


def _levels(samples: Sequence[Sample]) -> dict[int, npt.NDArray[np.uint8]]:
    """All levels of the samples, {level: [n,r,r,C]}."""
    images = np.stack([item.image for item in samples])
    if not samples[0].smaller:
        return pyramid(images)
    smaller = {level: np.stack([item.smaller[level] for item in samples])
               for level in samples[0].smaller}
    return {level_of(images.shape[1]): images, **smaller}
