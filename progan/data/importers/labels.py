"""Class labels from the names of folders, and from arrays of indices or one-hot rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.importers.image_files import natural_order
from progan.data.importers.spellings import composed, merge_compositions
from progan.errors import UserError
from progan.runtime.text import format_count

_MOST_CLASSES = 1 << 20  # more are another kind of number, not classes


class Labels(NamedTuple):
    """Class of each image, int64 [n], and the names of the classes; None and () without."""

    labels: npt.NDArray[np.int64] | None
    names: tuple[str, ...]


def folder_labels(paths: Sequence[str], all_paths: Sequence[str]) -> Labels:
    """Label `paths` by the first folder in which `all_paths` differ.

    Every image has to be in such a folder, and there have to be two of them at least;
    otherwise there are no labels. The names come from all paths, so that a part of a source
    has the classes of the whole.
    """
    depth, class_folders = _class_folders(all_paths)
    if not class_folders:
        return Labels(None, ())
    merged, _ = merge_compositions(class_folders)
    names = sorted(set(merged.values()), key=natural_order)
    index = {name: number for number, name in enumerate(names)}
    labels = [index[merged[path.split("/")[depth]]] for path in paths]
    return Labels(np.array(labels, dtype=np.int64), tuple(names))


def composition_notes(all_paths: Sequence[str]) -> list[str]:
    """Lines that name the folders that are one class but for their Unicode composition."""
    return merge_compositions(_class_folders(all_paths)[1])[1]


def _class_folders(paths: Sequence[str]) -> tuple[int, list[str]]:
    """The depth of the folders that are classes, and their names, for each path; [] if none."""
    folders = [path.split("/")[:-1] for path in paths]
    depth = _common_depth([[*map(composed, parts)] for parts in folders])
    if any(len(parts) <= depth for parts in folders):
        return depth, []
    return depth, [parts[depth] for parts in folders]


def _common_depth(folders: Sequence[list[str]]) -> int:
    """How many folders all paths begin with."""
    first, last = min(folders), max(folders)  # they differ the earliest of all pairs
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth


def load_label_file(path: Path, count: int) -> Labels:
    """Read the labels of `count` images from a .npy file; raises UserError."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"Cannot read the labels {path}: {error}. Copy the file again, or move it "
            "away to do without labels."
        ) from error
    return labels_of(stored, count, str(path))


def labels_of(stored: npt.NDArray[np.generic], count: int, where: str) -> Labels:
    """Class indices of stored labels: [n] indices or [n,L] one-hot; none if L is 0.

    The classes are called '0' … 'L-1'. Raises UserError, naming `where`, if there are not
    `count` of them or they are no classes.
    """
    if len(stored.shape) not in (1, 2) or len(stored) != count:
        raise UserError(
            f"{where} has labels of the shape {stored.shape} for "
            f"{format_count(count, 'image')}. "
            "One number or one row for each image is needed."
        )
    if stored.ndim == 2 and stored.shape[1] == 0:
        return Labels(None, ())
    indices = _indices(stored)
    if indices is None:
        raise UserError(
            f"{where} holds no classes: each label has to be a number from 0 up, or a "
            "row of zeros with a single one."
        )
    num_classes = stored.shape[1] if stored.ndim == 2 else int(indices.max()) + 1
    return Labels(indices, tuple(map(str, range(num_classes))))


def _indices(stored: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
    """int64 [n], or None if a label is no class."""
    if stored.dtype.kind not in "biuf":
        return None
    if stored.ndim == 2:
        ones = stored == 1
        single = (ones.sum(axis=1) == 1).all() and (ones | (stored == 0)).all()
        return ones.argmax(axis=1).astype(np.int64) if single else None
    if not ((stored >= 0) & (stored < _MOST_CLASSES)).all():  # NaN is in no range
        return None
    indices = stored.astype(np.int64)
    return indices if (indices == stored).all() else None
