"""Many pictures on one sheet: plain grids, and contact sheets with a word below each picture."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from progan.errors import UserError
from progan.images import Pixels, as_image, enlarge, grid
from progan.runtime.files import human_bytes
from progan.sampling.captions import beneath
from progan.sizes import Size

MOST_BYTES = 2**31  # of pixels
SMALLEST_CELL, LARGEST_CELL = 64, 256  # px; of a contact sheet
ASPECT = 1.5  # width / height of a sheet that lays itself out
GAP = 4  # px between the cells of a contact sheet


def layout(count: int, size: Size) -> tuple[int, int]:
    """Columns and rows for `count` pictures of a size, on a sheet shaped like a screen."""
    wanted = round(math.sqrt(count * ASPECT * size.height / size.width))
    rows = math.ceil(count / min(max(wanted, 1), count))
    return math.ceil(count / rows), rows


def require_size(columns: int, rows: int, size: Size, channels: int) -> None:
    """Raise UserError if a sheet of so many pictures is larger than anybody looks at."""
    num_bytes = columns * rows * size.pixels * channels
    if num_bytes > MOST_BYTES:
        raise UserError(f"--grid {columns}x{rows} of {size} pictures is a sheet of "
                        f"{human_bytes(num_bytes)}, more than {human_bytes(MOST_BYTES)}. Ask for "
                        "fewer, or for a lower --resolution.")


def full_grid(images: Pixels, columns: int, rows: int) -> Pixels:
    """Pictures [N, H, W, C] side by side; cells that remain are black: [rows*H, columns*W, C]."""
    empty = np.zeros((columns * rows - len(images), *images.shape[1:]), np.uint8)
    return grid(np.concatenate([images, empty]), columns)


def contact_sheet(images: Sequence[Pixels], words: Sequence[str], columns: int,
                  rows: int) -> Pixels:
    """Pictures [H, W, C] of one size on white, each with its words below: [H', W', 3].

    Args:
        images: As `cell` makes them.
    """
    cells = [_with_gap(beneath(image, word)) for image, word in zip(images, words, strict=True)]
    empty = [np.full_like(cells[0], 255)] * (columns * rows - len(cells))
    return grid(np.stack(cells + empty), columns)


def cell(image: Pixels) -> Pixels:
    """A picture [H, W, C] of 64 to 256 px: by repeating pixels, or by averaging them."""
    large: Pixels = enlarge(image[None], SMALLEST_CELL)[0]
    if max(large.shape[:2]) <= LARGEST_CELL:
        return large
    picture = as_image(large)
    picture.thumbnail((LARGEST_CELL, LARGEST_CELL), Image.Resampling.BOX)
    return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, -1)


def _with_gap(image: Pixels) -> Pixels:
    half = GAP // 2
    padded: Pixels = np.pad(image, ((half, half), (half, half), (0, 0)), constant_values=255)
    return padded
