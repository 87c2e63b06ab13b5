"""Class labels from arrays of indices or one-hot rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.importers.file_source import make_natural_sort_key
from progan.errors import UserError
from progan.runtime.text import format_count

MAX_CLASSES = 1 << 20  # larger numbers are not class indices


class Labels(NamedTuple):
    """Class of each image, int64 [n], and the names of the classes; None and () without."""

    labels: npt.NDArray[np.int64] | None
    names: tuple[str, ...]


def load_label_array(path: Path, count: int) -> Labels:
    """Read the labels of `count` images from a .npy file; raises UserError."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"Cannot read the labels {path}: {error}. Copy the file again, or move it "
            "away to do without labels."
        ) from error
    return labels_from_array(stored, count, str(path))


def labels_from_array(stored: npt.NDArray[np.generic], count: int, where: str) -> Labels:
    """Convert stored labels: [n] indices or [n,L] one-hot; no labels if L is 0.

    The classes are called '0' … 'L-1'. Raises UserError, naming `where`, for another number of
    labels than `count`, or labels that are not classes.
    """
    if len(stored.shape) not in (1, 2) or len(stored) != count:
        raise UserError(
            f"{where} has labels of the shape {stored.shape} for {format_count(count, 'image')}. "
            "One number or one row for each image is needed."
        )
    if stored.ndim == 2 and stored.shape[1] == 0:
        return Labels(None, ())
    if stored.ndim == 2 and stored.shape[1] == 1 and not (stored == 1).all():
        stored = stored[:, 0]  # indices in a column, as Keras stores them
    indices = _to_indices(stored)
    if indices is None:
        raise UserError(
            f"{where} holds no classes: each label has to be a number from 0 up, or a "
            "row of zeros with a single one."
        )
    num_classes = stored.shape[1] if stored.ndim == 2 else int(indices.max()) + 1
    return Labels(indices, tuple(map(str, range(num_classes))))


def labels_from_names(values: Sequence[str]) -> Labels:
    """Label images by the name of their class; classes are in natural order."""
    names = sorted(set(values), key=make_natural_sort_key)
    index = {name: number for number, name in enumerate(names)}
    return Labels(np.array([index[value] for value in values], dtype=np.int64), tuple(names))


def _to_indices(stored: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
    """Return int64 [n], or None if a label is not a class."""
    if stored.dtype.kind not in "biuf":
        return None
    if stored.ndim == 2:
        ones = stored == 1
        single = (ones.sum(axis=1) == 1).all() and (ones | (stored == 0)).all()
        return ones.argmax(axis=1).astype(np.int64) if single else None
    if not ((stored >= 0) & (stored < MAX_CLASSES)).all():  # NaN is in no range
        return None
    indices = stored.astype(np.int64)
    return indices if (indices == stored).all() else None
