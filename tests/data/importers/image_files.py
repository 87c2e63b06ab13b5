"""Encoded images with metadata of any kind, whole and damaged."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

ORIENTATION = 0x0112
SLOPE = np.add.outer(np.arange(24) * 3, np.arange(32) * 2).astype(np.uint8)
SMOOTH = SLOPE[:, :, None].repeat(3, 2)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **settings: object) -> bytes:
    """An image file; JPEG and AVIF as exact as they can be."""
    exact: dict[str, dict[str, object]] = {
        "jpeg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True, "exact": True},
        "avif": {"quality": 100, "subsampling": "4:4:4"},
    }
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = io.BytesIO()
    picture.save(stream, kind, **{**exact.get(kind, {}), **settings})  # type: ignore[arg-type]
    return stream.getvalue()


def exif(*entries: tuple[int, int, int, int]) -> bytes:
    """EXIF data, little-endian, of (tag, type, count, value)."""
    return (
        b"Exif\0\0II*\0\x08\0\0\0"
        + struct.pack("<H", len(entries))
        + b"".join(struct.pack("<HHII", *entry) for entry in entries)
        + bytes(4)
    )


def turned(orientation: int) -> bytes:
    return exif((ORIENTATION, 3, 1, orientation))


def chunk(kind: bytes, data: bytes, checksum: int | None = None) -> bytes:
    """A chunk of a PNG file; a right checksum if None."""
    right = zlib.crc32(kind + data) if checksum is None else checksum
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", right)


def with_chunk(png: bytes, added: bytes, *, at_end: bool) -> bytes:
    """A PNG file with one more chunk, behind its header or behind its pixels."""
    place = png.rindex(b"IEND") - 4 if at_end else 33
    return png[:place] + added + png[place:]


def png16(values: np.ndarray) -> bytes:
    """A PNG file of 16 bits per channel, [H,W,C] with C 1 to 4, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """A profile like sRGB that calls blue what is red."""
    profile = bytearray(srgb_profile())
    (count,) = struct.unpack_from(">I", profile, 128)
    places = {
        bytes(profile[at : at + 4]): struct.unpack_from(">I", profile, at + 4)[0]
        for at in range(132, 132 + 12 * count, 12)
    }
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    profile[red : red + 20], profile[blue : blue + 20] = (
        profile[blue : blue + 20],
        profile[red : red + 20],
    )
    return bytes(profile)


def _profile(space: bytes, connection: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2."""
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += content
    header = (
        struct.pack(">I", start + len(data))
        + b"lcms"
        + struct.pack(">I", 0x02400000)
        + device
        + space
        + connection
        + bytes(12)
        + b"acsp"
        + bytes(28)
        + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
        + bytes(48)
    )
    return header + struct.pack(">I", len(tags)) + table + data


def _common_tags(name: bytes) -> dict[bytes, bytes]:
    description = b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + bytes(79)
    white = b"XYZ " + bytes(4) + struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)
    return {b"desc": description, b"wtpt": white, b"cprt": b"text" + bytes(4) + b"none\0"}


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))
    return _profile(b"GRAY", b"XYZ ", b"mntr", {**_common_tags(b"Grey"), b"kTRC": curve})


def cmyk_profile() -> bytes:
    """A profile for which ink of any kind is grey: lightness falls with the sum of the inks."""
    inks = np.stack(np.meshgrid(*[np.arange(2)] * 4, indexing="ij"), -1).reshape(-1, 4)
    lightness = np.maximum(0, 255 - 100 * inks.sum(1))
    grid = np.stack([lightness, np.full(16, 128), np.full(16, 128)], 1).astype(np.uint8)
    matrix = np.eye(3) * 0x10000
    table = (
        b"mft1"
        + bytes(4)
        + bytes([4, 3, 2, 0])
        + matrix.astype(">i4").tobytes()
        + bytes(range(256)) * 4
        + grid.tobytes()
        + bytes(range(256)) * 3
    )
    return _profile(
        b"CMYK",
        b"Lab ",
        b"prtr",
        {**_common_tags(b"Grey inks"), b"A2B0": table, b"A2B1": table, b"A2B2": table},
    )
