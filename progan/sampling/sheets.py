"""Grids, contact sheets, and captions on images."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from progan.errors import UserError
from progan.images import Pixels, arrange_grid, repeat_pixels, to_opaque_rgb, to_pil
from progan.runtime.files import human_bytes
from progan.sizes import Size

MAX_SHEET_BYTES = 2**31  # of pixels
MIN_CELL, MAX_CELL = 64, 256  # px; of a contact sheet
ASPECT = 1.5  # width / height of a sheet that lays itself out
GAP = 4  # px between the cells of a contact sheet
FONT = "fonts/ttf/DejaVuSans.ttf"  # of Matplotlib; Pillow's own has no arrow
FONT_SIZE = 11  # px, of the smallest words
MARGIN = 3  # px around words


def sheet_layout(count: int, size: Size) -> tuple[int, int]:
    """Columns and rows for `count` pictures of a size, on a sheet shaped like a screen."""
    wanted = round(math.sqrt(count * ASPECT * size.height / size.width))
    rows = math.ceil(count / min(max(wanted, 1), count))
    return math.ceil(count / rows), rows


def require_sheet_size(columns: int, rows: int, size: Size, channels: int) -> None:
    """Raise UserError if a sheet of so many pictures is larger than anybody looks at."""
    num_bytes = columns * rows * size.pixels * channels
    if num_bytes > MAX_SHEET_BYTES:
        raise UserError(
            f"--grid {columns}x{rows} of {size} pictures is a sheet of "
            f"{human_bytes(num_bytes)}, more than {human_bytes(MAX_SHEET_BYTES)}. "
            "Ask for fewer, or for a lower --resolution."
        )


def full_grid(images: Pixels, columns: int, rows: int) -> Pixels:
    """Pictures [N, H, W, C] side by side; cells that remain are black: [rows*H, columns*W, C]."""
    empty = np.zeros((columns * rows - len(images), *images.shape[1:]), np.uint8)
    return arrange_grid(np.concatenate([images, empty]), columns)


def contact_sheet(
    images: Sequence[Pixels], words: Sequence[str], columns: int, rows: int
) -> Pixels:
    """Pictures [H, W, C] of one size on white, each with its words below: [H', W', 3].

    Args:
        images: As `cell` makes them.
    """
    cells = [
        _with_gap(caption_below(image, word)) for image, word in zip(images, words, strict=True)
    ]
    empty = [np.full_like(cells[0], 255)] * (columns * rows - len(cells))
    return arrange_grid(np.stack(cells + empty), columns)


def sheet_cell(image: Pixels) -> Pixels:
    """A picture [H, W, C] of 64 to 256 px: by repeating pixels, or by averaging them."""
    large: Pixels = repeat_pixels(image[None], MIN_CELL)[0]
    if max(large.shape[:2]) <= MAX_CELL:
        return large
    picture = to_pil(large)
    picture.thumbnail((MAX_CELL, MAX_CELL), Image.Resampling.BOX)
    return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, -1)


def _with_gap(image: Pixels) -> Pixels:
    half = GAP // 2
    padded: Pixels = np.pad(image, ((half, half), (half, half), (0, 0)), constant_values=255)
    return padded


def caption_below(image: Pixels, words: str) -> Pixels:
    """A picture [H, W, C] with a line of text on white below: [H + the line's, W, 3]."""
    picture = to_opaque_rgb(image)
    font = _font(picture.width // 20)
    height = _line_height(font)
    cell = Image.new("RGB", (picture.width, picture.height + height), "white")
    cell.paste(picture)
    ImageDraw.Draw(cell).text(
        (MARGIN, picture.height + height / 2), words, "black", font, anchor="lm"
    )
    return np.asarray(cell, np.uint8)


def caption_in_corner(image: Pixels, words: str) -> Pixels:
    """A picture [H, W, C] with white words on black in its lower left corner: [H, W, 3]."""
    picture = to_opaque_rgb(image)
    draw = ImageDraw.Draw(picture)
    font = _font(min(picture.size) // 24)
    width, height = font.getlength(words) + 2 * MARGIN, _line_height(font)
    top = picture.height - height
    draw.rectangle((0, top, width, picture.height), "black")
    draw.text((MARGIN, top + height / 2), words, "white", font, anchor="lm")
    return np.asarray(picture, np.uint8)


def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # pictures without words need not wait for it

    return ImageFont.truetype(Path(matplotlib.get_data_path(), FONT), max(size, FONT_SIZE))


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    """Of a line with its margins, in px; the same for all words."""
    top, bottom = font.getbbox("Ág")[1::2]
    return int(bottom - top) + 2 * MARGIN
