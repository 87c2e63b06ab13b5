"""How images of compressed levels are stored: lossless WebP, one after the other.

Of the codecs that Pillow has, WebP in its fastest setting makes the smallest files at the least
cost (docs/log.md).
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]


def encoded(image: Pixels) -> bytes:
    """[H, W, C] with C of 1, 3 or 4 -> the bytes of a WebP file."""
    pixels = image.repeat(3, axis=2) if image.shape[2] == 1 else image  # WebP knows no grey
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "webp", lossless=True, method=0, quality=0, exact=True)
    return stream.getvalue()


def decoded(data: bytes, channels: int) -> Pixels:
    """The bytes of a WebP file -> [H, W, C]; whatever Pillow raises for damaged ones."""
    with Image.open(io.BytesIO(data), formats=["webp"]) as picture:
        # WebP drops an opacity that is full everywhere.
        return np.asarray(picture.convert("RGBA" if channels == 4 else "RGB"))[:, :, :channels]


def all_decoded(files: Sequence[bytes], channels: int) -> list[Pixels]:
    """Decode several files, side by side."""
    workers = min(len(files), os.cpu_count() or 1)
    if workers < 2:
        return [decoded(data, channels) for data in files]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(decoded, files, [channels] * len(files)))
