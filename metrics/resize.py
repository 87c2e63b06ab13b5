"""Bring images to one size (--resize)."""

import numpy as np
from PIL import Image

from progan.images import Pixels, enlarge


def resized(images: Pixels, side: int) -> Pixels:
    """uint8 [N, H, W, C] -> uint8 [N, side, side, C].

    Pixels are repeated or averaged where the sides are multiples of each other, so that an image
    enlarged and brought back is itself; all else is Lanczos.
    """
    height, width = images.shape[1:3]
    if height == width and side % height == 0:
        return enlarge(images, side)
    if height % side == 0 and width % side == 0:
        return _averaged(images, side)
    return np.stack([_resampled(image, side) for image in images])


def _averaged(images: Pixels, side: int) -> Pixels:
    """Exact box averages, rounded once: what the lower levels of a dataset are."""
    count, height, width, channels = images.shape
    boxes = images.reshape(count, side, height // side, side, width // side, channels)
    averages: Pixels = np.rint(boxes.mean((2, 4))).astype(np.uint8)
    return averages


def _resampled(image: Pixels, side: int) -> Pixels:
    squeezed = image.squeeze(-1) if image.shape[-1] == 1 else image
    small = Image.fromarray(squeezed).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8).reshape(side, side, image.shape[-1])
