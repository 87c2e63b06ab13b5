"""Smaller copies of images: exact 2x2 box averages, rounded only when they are stored."""

import numpy as np
import numpy.typing as npt

from progan.config import MIN_LEVEL, level_of

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def halve(images: Floats) -> Floats:
    """Average 2x2 boxes: [n,h,w,c] -> [n,h/2,w/2,c].

    Exact for eight halvings of uint8: a sum of 4^8 bytes has 24 bits, which float32 holds.
    """
    rows = images[:, 0::2] + images[:, 1::2]                     # [n,h/2,w,c]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)  # [n,h/2,w/2,c]


def rounded(images: Floats) -> Bytes:
    """Round to the nearest byte, halves to the even one, as the official tool does."""
    return np.rint(images).clip(0, 255).astype(np.uint8)


def pyramid(images: Bytes) -> dict[int, Bytes]:
    """Return the images at every level down to 4x4: [n,R,R,c] -> {level: [n,2^level,2^level,c]}."""
    top = level_of(images.shape[1])
    levels = {top: images}
    exact = images.astype(np.float32)
    for level in range(top - 1, MIN_LEVEL - 1, -1):
        exact = halve(exact)
        levels[level] = rounded(exact)
    return levels
