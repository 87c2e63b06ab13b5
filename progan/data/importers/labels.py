"""Class labels from the names of folders."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.importers.spellings import composed, merge_compositions
from progan.data.importers.tree import natural_order


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
