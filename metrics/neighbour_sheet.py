"""Images beside their nearest training images, as one picture."""

import numpy as np
from PIL import Image, ImageDraw

from metrics.cells import CAPTION
from metrics.memorisation import Lookup
from metrics.neighbours import Window
from progan.images import Pixels, enlarge, grid, opaque

SMALLEST_CELL, LARGEST_CELL = 112, 256  # px
FRAME = "red"


def sheet_of(found: Lookup, rows: int, window: Window) -> Pixels:
    """One image in each row and its neighbours to the right, the most suspicious row first.

    Args:
        rows: How many rows, at most.
        window: What was compared; framed in the images if it is not all of them.
    """
    order = np.argsort(found.nearest, kind="stable")[:rows]
    cells = []
    for place in order:
        number = found.images.rows[place:place + 1]
        cells.append(_cell(found.images.read(number)[0], f"image {number[0]}", window))
        neighbours = found.neighbours.rows[place]
        for row, distance, image in zip(neighbours, found.neighbours.distances[place],
                                        found.training.read(neighbours), strict=True):
            cells.append(_cell(image, f"#{row}  d {distance:.3g}", None))
    return grid(np.stack(cells), len(found.neighbours.rows[0]) + 1)


def _cell(image: Pixels, caption: str, window: Window | None) -> Pixels:
    """One picture [H, W, C] with a line of text below: [H', W', 3]."""
    height, width = image.shape[:2]
    picture = opaque(enlarge(image[None], SMALLEST_CELL)[0])
    picture.thumbnail((LARGEST_CELL, LARGEST_CELL), Image.Resampling.BOX)
    if window is not None and window[2:] != (width, height):
        scale = picture.width / width
        left, top = window.left * scale, window.top * scale
        right, bottom = (start + max(side * scale - 1, 0)  # what is small is a point
                         for start, side in ((left, window.width), (top, window.height)))
        ImageDraw.Draw(picture).rectangle((left, top, right, bottom), outline=FRAME)
    cell = Image.new("RGB", (picture.width + 2, picture.height + CAPTION), "white")
    cell.paste(picture, (1, 0))
    ImageDraw.Draw(cell).text((3, picture.height), caption, fill="black")
    return np.asarray(cell, np.uint8)
