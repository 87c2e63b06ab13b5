"""Cells of a sheet: pictures as people see them."""

import numpy as np
from PIL import Image

from progan.images import Pixels, enlarge, opaque

CAPTION = 14  # px of height that a line of text needs


def of_side(image: Pixels, side: int) -> Pixels:
    """[H, H, C] -> [side, side, 3]: by repeating pixels, and by averaging what is too large."""
    picture = opaque(enlarge(image[None], side)[0])
    if picture.width != side:
        picture = picture.resize((side, side), Image.Resampling.BOX)
    return np.asarray(picture, np.uint8)
