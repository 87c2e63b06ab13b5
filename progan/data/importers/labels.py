"""Class labels from the names of folders."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

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
    folders = [path.split("/")[:-1] for path in all_paths]
    depth = _common_depth(folders)
    if any(len(parts) <= depth for parts in folders):
        return Labels(None, ())
    names = sorted({parts[depth] for parts in folders}, key=natural_order)
    index = {name: number for number, name in enumerate(names)}
    labels = [index[path.split("/")[depth]] for path in paths]
    return Labels(np.array(labels, dtype=np.int64), tuple(names))


def _common_depth(folders: Sequence[list[str]]) -> int:
    """How many folders all paths begin with."""
    first, last = min(folders), max(folders)  # they differ the earliest of all pairs
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth
