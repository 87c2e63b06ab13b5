"""Words on pictures."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from progan.images import Pixels, opaque

FONT = "fonts/ttf/DejaVuSans.ttf"  # of Matplotlib; Pillow's own has no arrow
FONT_SIZE = 11  # px, of the smallest words
MARGIN = 3  # px around words


def beneath(image: Pixels, words: str) -> Pixels:
    """A picture [H, W, C] with a line of text on white below: [H + the line's, W, 3]."""
    picture = opaque(image)
    font = _font(picture.width // 20)
    height = _height(font)
    cell = Image.new("RGB", (picture.width, picture.height + height), "white")
    cell.paste(picture)
    ImageDraw.Draw(cell).text((MARGIN, picture.height + height / 2), words, "black", font,
                              anchor="lm")
    return np.asarray(cell, np.uint8)


def in_corner(image: Pixels, words: str) -> Pixels:
    """A picture [H, W, C] with white words on black in its lower left corner: [H, W, 3]."""
    picture = opaque(image)
    draw = ImageDraw.Draw(picture)
    font = _font(min(picture.size) // 24)
    width, height = font.getlength(words) + 2 * MARGIN, _height(font)
    top = picture.height - height
    draw.rectangle((0, top, width, picture.height), "black")
    draw.text((MARGIN, top + height / 2), words, "white", font, anchor="lm")
    return np.asarray(picture, np.uint8)


def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # pictures without words need not wait for it

    return ImageFont.truetype(Path(matplotlib.get_data_path(), FONT), max(size, FONT_SIZE))


def _height(font: ImageFont.FreeTypeFont) -> int:
    """Of a line with its margins, in px; the same for all words."""
    top, bottom = font.getbbox("Ág")[1::2]
    return int(bottom - top) + 2 * MARGIN
