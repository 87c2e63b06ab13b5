"""Parts of a dataset: images held out of training, and the images of one class."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from progan.data.reader import Dataset, Rows
from progan.errors import UserError
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize


def compute_holdout_size(fraction: float, count: int) -> int:
    """How many of `count` images a fraction in [0, 1) holds out: at least 1, unless it is 0.

    Raises:
        UserError: None would be left to train on.
    """
    assert 0 <= fraction < 1, fraction
    size = max(1, round(fraction * count)) if fraction else 0
    if size >= count:
        raise UserError(
            f"--holdout {fraction} of {format_count(count, 'image')} keeps "
            f"{pluralize(count, 'it', 'them all')} away from training. Name a "
            "smaller fraction, take more images, or leave it away."
        )
    return size


def draw_holdout_rows(size: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw `size` of the rows 0 … count - 1 without replacement: int64 [size], ascending."""
    return np.sort(numpy_generator(seed, "holdout").permutation(count)[:size]).astype(np.int64)


class ClassSubset(Dataset):
    """Row k is the k-th image of the class. Classes keep their numbers and names."""

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
        return self.whole.images(level, self._of_whole(rows))

    def encoded(self, level: int, rows: Rows) -> list[bytes]:
        return self.whole.encoded(level, self._of_whole(rows))

    def labels(self, rows: Rows) -> npt.NDArray[np.int64]:
        return self.whole.labels(self._of_whole(rows))

    def landmarks(self, rows: Rows) -> npt.NDArray[np.float32]:
        return self.whole.landmarks(self._of_whole(rows))

    def _of_whole(self, rows: Rows) -> Rows:
        return self.rows[self._inside(rows)]


def select_class(dataset: Dataset, name: str) -> Dataset:
    """The images of a class, given by name or index; raises UserError if there is none."""
    names = list(dataset.label_names)
    if name not in names and not (name.isdecimal() and int(name) < len(names)):
        known = ", ".join(f"{index} {known}" for index, known in enumerate(names[:20]))
        raise UserError(
            f"--subset {name}: {dataset.path} has "
            + (
                f"no such class. Classes: {known}{' …' if len(names) > 20 else ''}."
                if names
                else "no classes."
            )
        )
    chosen = ClassSubset(dataset, names.index(name) if name in names else int(name))
    if not len(chosen.training_rows):
        raise UserError(f"--subset {name}: {dataset.path} has no image of it to train on.")
    return chosen


def open_dataset(data: Path, class_name: str) -> Dataset:
    """Open a dataset, or its images of one class, '' for all; raises UserError."""
    dataset = Dataset.open(data)
    return select_class(dataset, class_name) if class_name else dataset


def open_dataset_of_run(directory: Path, stored: str, class_name: str) -> Dataset:
    """Open the images of an earlier run, where its settings say.

    Args:
        directory: Of the run.
        stored: Where its dataset was.

    Raises:
        UserError: It is not there, or cannot be used; names the run and the option that mends it.
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
