"""Pictures in the page: recompressed, so that all of them together stay within some bytes."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from progan.images import opaque
from progan.report.markup import Markup, data_uri, element

LADDER = ((1024, 82), (1024, 65), (800, 65), (640, 60), (480, 55), (320, 50), (200, 40))  # px, %
TRIED = 8  # pictures that tell what all of them will take
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # of Pillow


class Cells(NamedTuple):
    """The part of a grid that is shown."""

    columns: int
    rows: int
    width: int  # px of one cell
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.width, self.rows * self.height


def opened(path: Path, cells: Cells | None = None) -> Image.Image:
    """A picture as RGB, at most as wide as the page shows it; raises one of UNREADABLE.

    Args:
        cells: What of it is wanted; a picture that is smaller than that is taken whole.
    """
    with Image.open(path) as file:
        if cells is not None and file.width >= cells.size[0] and file.height >= cells.size[1]:
            cut = file.crop((0, 0, *cells.size))
        else:
            cut = file.copy()
    plain = cut if cut.mode in ("L", "RGB", "RGBA") else cut.convert("RGBA")
    return fitted(opaque(np.atleast_3d(np.asarray(plain))), LADDER[0][0])


def fitted(picture: Image.Image, width: int) -> Image.Image:
    """Scaled down to a width, unless it is narrower."""
    if picture.width <= width:
        return picture
    height = max(round(picture.height * width / picture.width), 1)
    return picture.resize((width, height), Image.Resampling.HAMMING)


def compressed(pictures: Sequence[Image.Image], most_bytes: int) -> list[bytes]:
    """Files of pictures, all of one quality: the best that stay within about so many bytes."""
    some = pictures[::-(-len(pictures) // TRIED)] if pictures else []
    width, quality = next(
        ((width, quality) for width, quality in LADDER
         if sum(len(encoded(fitted(each, width), quality)) for each in some) * len(pictures)
         <= most_bytes * len(some)), LADDER[-1])
    return [encoded(fitted(each, width), quality) for each in pictures]


def encoded(picture: Image.Image, quality: int) -> bytes:
    """A file of `kind()`."""
    file = BytesIO()
    picture.save(file, kind(), quality=quality)
    return file.getvalue()


def kind() -> str:
    """'webp', which is smaller, where this Pillow has it."""
    return "webp" if features.check("webp") else "jpeg"


def image(file: bytes, words: str, **attributes: str | None) -> Markup:
    """An element that shows a file, and tells its words to whom does not see it."""
    with Image.open(BytesIO(file)) as picture:
        width, height = picture.size
    return element("img", src=data_uri(file, f"image/{kind()}"), alt=words, width=f"{width}",
                   height=f"{height}", decoding="sync", **attributes)
