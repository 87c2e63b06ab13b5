"""How an image has to be turned to be upright, read from its EXIF or XMP data."""

import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import Image

UPRIGHT = 1
METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
TAG = 0x0112
_HEADER = b"Exif\0\0"
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # types of TIFF that an orientation may have
_XMP = re.compile(r'tiff:Orientation(?:="|>)([1-8])["<]')


class Orientation(NamedTuple):
    """An orientation of EXIF, 1 to 8, and why another one was not read, '' if none was there."""

    value: int = UPRIGHT
    fault: str = ""

    @property
    def swaps_sides(self) -> bool:
        """Whether width becomes height."""
        return self.value >= 5


def read_orientation(info: Mapping[Any, Any]) -> Orientation:
    """Read the orientation from what Pillow knows of an image, without Pillow's EXIF reader.

    That one raises nearly anything where the data are damaged, warns on stderr, and reads all tags.
    """
    exif = info.get("exif")
    if exif is None and "Raw profile type exif" in info:
        try:
            exif = bytes.fromhex("".join(str(info["Raw profile type exif"]).split("\n")[3:]))
        except ValueError:
            return Orientation(fault="EXIF is no hexadecimal text")
    found = parse_exif(exif) if isinstance(exif, bytes) else None
    if found is not None:
        return found
    for key in ("XML:com.adobe.xmp", "xmp"):
        text = info.get(key) or ""
        if isinstance(text, bytes):
            text = text.decode("latin1")
        if match := _XMP.search(str(text)):
            return Orientation(int(match[1]))
    return Orientation()


def parse_exif(exif: bytes) -> Orientation | None:
    """Find the orientation in EXIF data; None if they have none."""
    while exif.startswith(_HEADER):
        exif = exif[len(_HEADER):]
    if not exif:
        return None
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return Orientation(fault="EXIF has a wrong header")
    try:
        start, = struct.unpack_from(order + "I", exif, 4)
        count, = struct.unpack_from(order + "H", exif, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", exif, place)
            if tag == TAG:
                return _checked(kind, number, exif[place + 8:place + 12], order)
    except struct.error:
        return Orientation(fault="EXIF is cut off")
    return None


def _checked(kind: int, number: int, value: bytes, order: str) -> Orientation:
    if kind not in _INTEGERS or number != 1:
        return Orientation(fault="EXIF orientation is not a number")
    orientation, = struct.unpack_from(order + _INTEGERS[kind], value)
    if not 1 <= orientation <= 8:
        return Orientation(fault="EXIF orientation is not 1 to 8")
    return Orientation(orientation)
