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

MAX_SHEET_BYTES = 2**31
MIN_CELL, MAX_CELL = 64, 256  # px, on a contact sheet
ASPECT = 1.5  # width / height of an automatic layout
GAP = 4  # px between the cells of a contact sheet
FONT = "fonts/ttf/DejaVuSans.ttf"  # Matplotlib's; Pillow's own has no arrow
MIN_FONT_SIZE = 11  # px
MARGIN = 3  # px around captions


def sheet_layout(count: int, size: Size) -> tuple[int, int]:
    """Return columns and rows for `count` images of a size, close to the shape of a screen."""
    columns = round(math.sqrt(count * ASPECT * size.height / size.width))
    rows = math.ceil(count / min(max(columns, 1), count))
    return math.ceil(count / rows), rows


def require_sheet_size(columns: int, rows: int, size: Size, channels: int) -> None:
    """Raise UserError if a sheet of so many images is too large."""
    num_bytes = columns * rows * size.pixels * channels
    if num_bytes > MAX_SHEET_BYTES:
        raise UserError(
            f"--grid {columns}x{rows} of {size} images is {human_bytes(num_bytes)} large, more "
            f"than {human_bytes(MAX_SHEET_BYTES)}. Choose fewer, or a lower --resolution."
        )


def full_grid(images: Pixels, columns: int, rows: int) -> Pixels:
    """Lay out images [N, H, W, C] in a grid; unused cells are black: [rows*H, columns*W, C]."""
    empty = np.zeros((columns * rows - len(images), *images.shape[1:]), np.uint8)
    return arrange_grid(np.concatenate([images, empty]), columns)


def contact_sheet(
    images: Sequence[Pixels], captions: Sequence[str], columns: int, rows: int
) -> Pixels:
    """Lay out images [H, W, C] of one size on white, each with a caption below: [H', W', 3].

    Args:
        images: As `sheet_cell` returns them.
    """
    cells = [
        _pad_with_white(caption_below(image, caption))
        for image, caption in zip(images, captions, strict=True)
    ]
    empty = [np.full_like(cells[0], 255)] * (columns * rows - len(cells))
    return arrange_grid(np.stack(cells + empty), columns)


def sheet_cell(image: Pixels) -> Pixels:
    """Scale an image [H, W, C] to 64 to 256 px, by repeating or averaging pixels."""
    large: Pixels = repeat_pixels(image[None], MIN_CELL)[0]
    if max(large.shape[:2]) <= MAX_CELL:
        return large
    thumbnail = to_pil(large)
    thumbnail.thumbnail((MAX_CELL, MAX_CELL), Image.Resampling.BOX)
    return np.asarray(thumbnail, np.uint8).reshape(thumbnail.height, thumbnail.width, -1)


def _pad_with_white(image: Pixels) -> Pixels:
    half = GAP // 2
    padded: Pixels = np.pad(image, ((half, half), (half, half), (0, 0)), constant_values=255)
    return padded


def caption_below(image: Pixels, caption: str) -> Pixels:
    """Add a line of text on white below an image [H, W, C]: [H + the line's, W, 3]."""
    canvas = to_opaque_rgb(image)
    font = _font(canvas.width // 20)
    height = _line_height(font)
    cell = Image.new("RGB", (canvas.width, canvas.height + height), "white")
    cell.paste(canvas)
    ImageDraw.Draw(cell).text(
        (MARGIN, canvas.height + height / 2), caption, "black", font, anchor="lm"
    )
    return np.asarray(cell, np.uint8)


def caption_in_corner(image: Pixels, caption: str) -> Pixels:
    """Write white text on black into the lower left corner of an image [H, W, C]: [H, W, 3]."""
    canvas = to_opaque_rgb(image)
    draw = ImageDraw.Draw(canvas)
    font = _font(min(canvas.size) // 24)
    width, height = font.getlength(caption) + 2 * MARGIN, _line_height(font)
    top = canvas.height - height
    draw.rectangle((0, top, width, canvas.height), "black")
    draw.text((MARGIN, top + height / 2), caption, "white", font, anchor="lm")
    return np.asarray(canvas, np.uint8)


def _font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # slow import, only needed for captions

    return ImageFont.truetype(Path(matplotlib.get_data_path(), FONT), max(size, MIN_FONT_SIZE))


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    """Return the height of a line with its margins in px, the same for all texts."""
    top, bottom = font.getbbox("Ág")[1::2]
    return int(bottom - top) + 2 * MARGIN
