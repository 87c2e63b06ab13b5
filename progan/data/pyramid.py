"""Smaller copies of images: exact 2x2 box averages, rounded only when they are stored."""

from typing import Any

import numpy as np
import numpy.typing as npt

from progan.sizes import MIN_LEVEL, level_of

Bytes = npt.NDArray[np.uint8]
Sums = npt.NDArray[Any]  # uint8, uint16 or uint32

VALUES_AT_ONCE = 2**18
MOST_IN_16_BITS = 4  # halvings: 255 * 4^4 is below 2^16


def build_pyramid(images: Bytes) -> dict[int, Bytes]:
    """Return the images at every level down to the base: [n,H,W,c] -> {level: [n,h,w,c]}."""
    top = level_of(min(images.shape[1:3]))
    levels, sums = {top: images}, images
    for halvings in range(1, top - MIN_LEVEL + 1):
        sums, levels[top - halvings] = halve_and_round(sums, halvings)
    return levels


def halve_and_round(sums: Sums, halvings: int) -> tuple[Sums, Bytes]:
    """Halve sums of 4^(halvings - 1) bytes to sums of 4^halvings, and return these as means too.

    Strip by strip: large temporaries cost more time than the arithmetic.
    """
    n, h, w, c = sums.shape
    dtype = np.uint16 if halvings <= MOST_IN_16_BITS else np.uint32
    smaller = np.empty((n, h // 2, w // 2, c), dtype)
    means = np.empty(smaller.shape, np.uint8)
    rows = max(VALUES_AT_ONCE // (n * w * c), 1)
    for start in range(0, h // 2, rows):
        strip = slice(start, start + rows)
        smaller[:, strip] = sum_2x2(sums[:, 2 * start : 2 * (start + rows)], dtype)
        means[:, strip] = average_and_round_half_even(smaller[:, strip], halvings)
    return smaller, means


def sum_2x2(sums: Sums, dtype: type[np.uint16] | type[np.uint32]) -> Sums:
    """Add the four values of 2x2 boxes: [n,h,w,c] -> [n,h/2,w/2,c]."""
    rows = np.add(sums[:, 0::2], sums[:, 1::2], dtype=dtype, order="C")  # [n,h/2,w,c]
    n, h, w, c = rows.shape
    boxes = np.empty((n, h, w // 2, c), dtype)
    for channel in range(c):  # NumPy adds a long run with gaps faster than many runs of c values
        np.add(rows[:, :, 0::2, channel], rows[:, :, 1::2, channel], out=boxes[..., channel])
    return boxes


def average_and_round_half_even(sums: Sums, halvings: int) -> Bytes:
    """Divide sums of 4^halvings bytes; halves go to the even neighbour, as officially."""
    shift = 2 * halvings
    means = sums >> shift
    means &= 1  # where a half has to go up
    means += sums
    means += (1 << (shift - 1)) - 1
    means >>= shift
    return means.astype(np.uint8)
