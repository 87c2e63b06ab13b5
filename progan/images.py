"""Pictures: the one conversion between uint8 and [-1, 1], grids, and PNG files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from progan.runtime.files import atomic_path

Pixels = npt.NDArray[np.uint8]  # [H, W, C]


def to_signed(images: Tensor) -> Tensor:
    """uint8 0…255 -> float32 -1…1, any shape."""
    return images.to(torch.float32) * (2 / 255) - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float -1…1 -> uint8 0…255, rounded and clipped, any shape."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pixels(images: Tensor) -> Pixels:
    """Network output [N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C] on the host."""
    pixels: Pixels = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def grid(images: Pixels, columns: int) -> Pixels:
    """Lay images [N, H, W, C] out row by row; places that remain are black: [rows*H, cols*W, C]."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, h, w, c), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * h, columns * w, c)


def enlarge(images: Pixels, side: int) -> Pixels:
    """Repeat pixels as often as the shorter side of images [N, H, W, C] fits into `side` px."""
    factor = max(side // min(images.shape[1:3]), 1)
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def as_image(pixels: Pixels) -> Image.Image:
    """[H, W, C], C of 1, 3 or 4, as Pillow has it: grey, RGB or RGBA."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def opaque(pixels: Pixels) -> Image.Image:
    """[H, W, C] as RGB; transparency lies on white, as detectors see it."""
    picture = as_image(pixels)
    if picture.mode != "RGBA":
        return picture.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def save_png(path: Path, pixels: Pixels, text: Mapping[str, str] | None = None) -> None:
    """Write one image [H, W, C], C of 1, 3 or 4, with `text` as the file's own provenance."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    with atomic_path(path) as temporary:
        as_image(pixels).save(temporary, "png", pnginfo=info)


def png_text(path: Path) -> dict[str, str]:
    """The text in a PNG file; {} if it is none."""
    try:
        with Image.open(path) as image:
            return {str(key): str(value) for key, value in image.info.items()}
    except (OSError, SyntaxError, ValueError):
        return {}
