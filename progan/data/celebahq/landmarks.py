"""CelebA's list of landmarks, list_landmarks_celeba.txt."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from progan.data.celebahq.geometry import Points
from progan.errors import UserError

_VALUES = 10  # left eye, right eye, nose, left and right corner of the mouth: x and y of each
_WANTED = "It is CelebA's list_landmarks_celeba.txt, of the images in the wild; fetch it again."


def read_landmarks(path: Path) -> Mapping[str, Points]:
    """Read the list: -> {file name: pixel numbers, float32 [5,2]}, in the order of the list.

    Its first line has the number of faces, its second one titles, and each other one a file
    name and ten numbers. Raises UserError if it does not.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_WANTED}") from error
    found = {}
    for number, line in enumerate(lines[2:], start=3):
        name, *values = line.split() or [""]
        if not name:
            continue
        try:
            points = np.array(values, dtype=np.float32)
        except ValueError:
            points = np.empty(0, dtype=np.float32)
        if points.size != _VALUES or not np.isfinite(points).all() or "/" in name:
            raise UserError(f"{path}, line {number}, is not a file name and ten numbers. "
                            f"{_WANTED}")
        found[name] = points.reshape(5, 2)
    if not found:
        raise UserError(f"{path} lists no faces. {_WANTED}")
    return found
