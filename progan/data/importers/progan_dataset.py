"""A dataset of ours, all of it or its lower levels -> ImageSource with the same bytes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.runtime.text import format_count, pluralize
from progan.sizes import MIN_LEVEL


def import_dataset(
    source: Path,
    *,
    resolution: int | None = None,
    max_images: int | None = None,
    seed: int | None = None,
) -> ImageSource:
    """Take the levels up to `resolution`, with labels, landmarks and what is held out.

    Raises:
        UserError: No whole dataset, no such level, or only images that are held out.
    """
    dataset = Dataset.open(source)
    level = dataset.level_named(resolution)
    rows = select_rows(len(dataset), max_images, seed)
    held_out = np.flatnonzero(np.isin(rows, dataset.held_out_rows))
    if len(held_out) == len(rows):
        raise UserError(
            f"The {format_count(len(rows), 'image')} taken of {source} "
            f"{pluralize(len(rows), 'is', 'are')} held out there, so that none "
            "would be left to train on. Take more of them."
        )
    return ImageSource(
        description=f"dataset {dataset.path.resolve()} of {dataset.info.source}",
        resolution=1 << level,
        base=dataset.info.base,
        channels=dataset.channels,
        count=len(rows),
        read=_Reader(dataset, rows, level),
        labels=dataset.labels(rows) if dataset.label_size else None,
        label_names=dataset.label_names,
        has_landmarks=dataset.info.has_landmarks,
        held_out=held_out,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    dataset: Dataset
    rows: npt.NDArray[np.int64]
    level: int

    def __call__(self, row: int) -> Sample:
        rows = self.rows[row : row + 1]
        levels = {
            level: self.dataset.images(level, rows)[0] for level in range(MIN_LEVEL, self.level + 1)
        }
        points = None
        if self.dataset.info.has_landmarks:
            scale = 2**self.level / self.dataset.resolution
            points = self.dataset.landmarks(rows)[0] * np.float32(scale)
        return Sample(levels.pop(self.level), points, levels)
