"""Images: conversion between uint8 and [-1, 1], grids, and PNG files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from progan.runtime.files import atomic_path

Pixels = npt.NDArray[np.uint8]  # [H, W, C]


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 0…255 to float32 -1…1, any shape."""
    return images.to(torch.float32) * (2 / 255) - 1


def to_uint8(images: Tensor) -> Tensor:
    """Convert float -1…1 to uint8 0…255, rounded and clipped, any shape."""
    return (images * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def to_pixels(images: Tensor) -> Pixels:
    """Convert network output [N, C, H, W] in [-1, 1] to uint8 [N, H, W, C] in main memory."""
    pixels: Pixels = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()
    return pixels


def arrange_grid(images: Pixels, columns: int) -> Pixels:
    """Arrange images [N, H, W, C] row by row, filled up with black: [rows*H, columns*W, C]."""
    n, h, w, c = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * columns, h, w, c), np.uint8)
    sheet[:n] = images
    sheet = sheet.reshape(rows, columns, h, w, c).transpose(0, 2, 1, 3, 4)
    return sheet.reshape(rows * h, columns * w, c)


def enlarge_by_repeating_pixels(images: Pixels, side: int, max_side: int | None = None) -> Pixels:
    """Enlarge images [N, H, W, C] by repeating pixels, by `choose_enlargement`."""
    _, height, width, _ = images.shape
    factor = choose_enlargement(height, width, side, max_side)
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def choose_enlargement(height: int, width: int, side: int, max_side: int | None = None) -> int:
    """Return the largest whole factor by which a shorter side fits `side`, but at least 1.

    Args:
        max_side: The longer side has to fit, too; None: any length.
    """
    factor = side // min(height, width)
    return max(factor if max_side is None else min(factor, max_side // max(height, width)), 1)


def to_pil(pixels: Pixels) -> Image.Image:
    """Convert [H, W, C], C of 1, 3 or 4, to a grey, RGB or RGBA image of Pillow."""
    return Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)


def to_opaque_pil(pixels: Pixels) -> Image.Image:
    """Convert [H, W, C] to RGB, with transparency composited on white."""
    image = to_pil(pixels)
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def save_png(path: Path, pixels: Pixels, text: Mapping[str, str] | None = None) -> None:
    """Write one image [H, W, C], C of 1, 3 or 4, with `text` as its metadata."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    with atomic_path(path) as temporary:
        to_pil(pixels).save(temporary, "png", pnginfo=info)


def read_png_text(path: Path) -> dict[str, str]:
    """Read the text metadata of a PNG file; {} if it is not readable."""
    try:
        with Image.open(path) as image:
            return {str(key): str(value) for key, value in image.info.items()}
    except (OSError, SyntaxError, ValueError):
        return {}
