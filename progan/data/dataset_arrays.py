"""All array files of a dataset in the making, written side by side."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.arrays import ShardWriter, WebpWriter
from progan.data.format import (
    HOLDOUT_FILE,
    LABELS_FILE,
    LANDMARKS_FILE,
    DatasetInfo,
    Skipped,
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What became of a range of images."""

    num_asked: int
    levels: Mapping[int, npt.NDArray[np.uint8]]  # {level: [n,h,w,C]}, empty if n is 0
    webp: Mapping[int, Sequence[bytes]]  # the same of compressed levels, n files each
    landmarks: npt.NDArray[np.float32]  # [n,5,2], or [0,5,2] without landmarks
    skipped: tuple[tuple[int, Skipped], ...]  # by their numbers
    doubtful: tuple[Skipped, ...] = ()  # those that are there and had better not be


class DatasetArrays:
    """All array files of a dataset in the making.

    Args:
        num_rows: Rows of an interrupted attempt to keep; ValueError or OSError if they are not
            there.
    """

    def __init__(self, directory: Path, plan: DatasetInfo, num_rows: int) -> None:
        others = {file.name: (file,) for file in plan.array_files()}
        landmarks = others.get(LANDMARKS_FILE, ())
        self.levels = {level: ShardWriter(directory, plan.level_files(level), num_rows)
                       for level in plan.levels if level not in plan.webp_bytes}
        self.webp = {level: WebpWriter(directory, plan.level_files(level), num_rows)
                     for level in plan.webp_bytes}
        self.labels = ShardWriter(directory, others.get(LABELS_FILE, ()))
        self.landmarks = ShardWriter(directory, landmarks, num_rows if landmarks else 0)
        self.holdout = ShardWriter(directory, others.get(HOLDOUT_FILE, ()))
        self._beside = ThreadPoolExecutor(1)

    def append(self, chunk: Chunk) -> None:
        """Write the images of a chunk: the largest level beside the others, three times as much."""
        largest = max(chunk.levels, default=None)
        jobs = [] if largest is None else [
            self._beside.submit(self.levels[largest].append, chunk.levels[largest])]
        try:
            for level, images in chunk.levels.items():
                if level != largest:
                    self.levels[level].append(images)
            for level, files in chunk.webp.items():
                self.webp[level].append(files)
            self.landmarks.append(chunk.landmarks)
        finally:
            for job in jobs:
                job.result()

    def flush(self) -> None:
        """Wait until the disk has all rows."""
        for writer in self._all():
            writer.flush()

    def webp_bytes(self) -> dict[int, int]:
        """How many bytes the images of each compressed level take so far."""
        return {level: writer.num_bytes for level, writer in self.webp.items()}

    def finish(self, info: DatasetInfo) -> dict[str, str]:
        """Close all files under the names that `info` gives them; return name -> SHA-256."""
        others = {file.name: (file,) for file in info.array_files()}
        checksums = self.labels.finish(others.get(LABELS_FILE, ()))
        checksums |= self.landmarks.finish(others.get(LANDMARKS_FILE, ()))
        checksums |= self.holdout.finish(others.get(HOLDOUT_FILE, ()))
        for level, writer in self.levels.items():
            checksums |= writer.finish(info.level_files(level))
        for level, webp in self.webp.items():
            checksums |= webp.finish(info.level_files(level))
        return dict(sorted(checksums.items()))

    def close(self) -> None:
        self._beside.shutdown()
        for writer in self._all():
            writer.close()

    def _all(self) -> Iterator[ShardWriter | WebpWriter]:
        yield from self.levels.values()
        yield from self.webp.values()
        yield from (self.labels, self.landmarks, self.holdout)
