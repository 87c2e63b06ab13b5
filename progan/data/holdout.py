"""Which images stay away from training, to measure with."""

import numpy as np
import numpy.typing as npt

from progan.errors import UserError
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize


def holdout_size(fraction: float, count: int) -> int:
    """How many of `count` images a fraction in [0, 1) holds out: at least 1, unless it is 0.

    Raises:
        UserError: None would be left to train on.
    """
    assert 0 <= fraction < 1, fraction
    size = max(1, round(fraction * count)) if fraction else 0
    if size >= count:
        raise UserError(f"--holdout {fraction} of {format_count(count, 'image')} keeps "
                        f"{pluralize(count, 'it', 'them all')} away from training. Name a "
                        "smaller fraction, take more images, or leave it away.")
    return size


def holdout_rows(size: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw `size` of the rows 0 … count - 1 without replacement: int64 [size], ascending."""
    return np.sort(numpy_generator(seed, "holdout").permutation(count)[:size]).astype(np.int64)
