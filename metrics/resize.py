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
    multiple = height % side == 0 and width % side == 0
    method = Image.Resampling.BOX if multiple else Image.Resampling.LANCZOS
    return np.stack([_one(image, side, method) for image in images])


def _one(image: Pixels, side: int, method: Image.Resampling) -> Pixels:
    squeezed = image.squeeze(-1) if image.shape[-1] == 1 else image
    small = Image.fromarray(squeezed).resize((side, side), method)
    return np.asarray(small, np.uint8).reshape(side, side, image.shape[-1])
