"""Animated WebP, frame by frame (WebP Container Specification).

Pillow's own writer keeps all frames in memory, and its encoder takes similar ones for equal: a film
that moves slowly loses frames.
"""

import io
from collections.abc import Iterable

from PIL import Image

ANIMATED, HAS_EXIF = 0x02, 0x08  # flags of the whole file
OPAQUE = 0x02  # flag of a frame: it is not blended with the one before
HEADER_BYTES = 12  # of a file, before its chunks
EXIF_PREFIX = b"Exif\0\0"  # that JPEG wants and WebP does not


def animation(frames: Iterable[tuple[Image.Image, int]], exif: bytes, quality: int) -> bytes:
    """A file of RGB images of one size, each with how long to show it, in ms; it loops."""
    extent, chunks = b"", []
    for image, duration in frames:
        extent = _extent(image)
        chunks.append(_frame(image, duration, quality))
    return _chunk(b"RIFF", b"".join([
        b"WEBP",
        _chunk(b"VP8X", bytes([ANIMATED | HAS_EXIF, 0, 0, 0]) + extent),
        _chunk(b"ANIM", bytes(4) + bytes(2)),  # no background, and no end to the loops
        *chunks,
        _chunk(b"EXIF", exif.removeprefix(EXIF_PREFIX))]))


def _frame(image: Image.Image, duration: int, quality: int) -> bytes:
    still = io.BytesIO()
    image.save(still, "webp", quality=quality, method=4)
    place = bytes(6) + _extent(image)  # at 0, 0
    return _chunk(b"ANMF", place + duration.to_bytes(3, "little") + bytes([OPAQUE])
                  + still.getvalue()[HEADER_BYTES:])


def _chunk(name: bytes, content: bytes) -> bytes:
    """Of an even number of bytes."""
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def _extent(image: Image.Image) -> bytes:
    return (image.width - 1).to_bytes(3, "little") + (image.height - 1).to_bytes(3, "little")
