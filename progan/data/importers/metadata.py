"""EXIF and other metadata: upright orientation, and what keeps Pillow from reading pixels."""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from PIL import Image

EXIF, PROFILE, TRANSPARENCY = "EXIF", "colour profile", "transparency"
_OTHERS = "text and other metadata"
# What each copy keeps, in the order in which they are tried, and the name of what it lacks.
_STAGES = (
    ({EXIF, PROFILE, TRANSPARENCY}, _OTHERS),
    ({PROFILE, TRANSPARENCY}, EXIF),
    ({EXIF, TRANSPARENCY}, PROFILE),
    ({TRANSPARENCY}, f"{EXIF} and {PROFILE}"),
    (set[str](), f"{EXIF}, {PROFILE} and {TRANSPARENCY}"),
)
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CRITICAL = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_PNG_OPTIONAL = {b"eXIf": EXIF, b"iCCP": PROFILE, b"tRNS": TRANSPARENCY}
_PNG_HARMLESS = {b"tEXt", b"tIME", b"eXIf", b"IEND"}
_WEBP_PIXELS = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"}
_WEBP_OPTIONAL = {b"EXIF": EXIF, b"ICCP": PROFILE}
_WEBP_FLAGS = {EXIF: 0x08, PROFILE: 0x20, "XMP": 0x04}  # bits of the header VP8X
_JFIF_BYTES = 14
# Baseline TIFF, its extensions for tiles, CMYK, YCbCr and JPEG, and extra and float samples.
_TIFF_PIXELS = {*range(254, 260), 262, 266, *range(277, 280), 284, 317, 320, *range(322, 326)}
_TIFF_PIXELS |= {332, 334, 338, 339, 347, *range(512, 522), *range(529, 533)}
_TIFF_ORIENTATION, _TIFF_PROFILE = 274, 34675
UPRIGHT = 1
TRANSPOSE_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION_TAG = 0x0112
_HEADER = b"Exif\0\0"
_INTEGERS = {1: "B", 3: "H", 4: "I"}  # types of TIFF that an orientation may have
_XMP = re.compile(r'tiff:Orientation(?:="|>)([1-8])["<]')


def strip_metadata_stepwise(data: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield copies with less and less metadata, and the name of what each lacks.

    Yields nothing for a format whose metadata cannot be removed, or are not there.
    """
    strip = next((strip for accept, strip in _FORMATS if accept(data)), None)
    if strip is None:
        return
    previous = data
    for keep, lacks in _STAGES:
        copy = strip(data, keep)
        if copy != previous:
            yield copy, lacks
        previous = copy


def iterate_png_chunks(data: bytes, start: int = 8) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, whole chunk) of a PNG file; chunks of a wrong length are passed over."""
    position: int | None = start
    while position is not None and position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        starts_next = end == len(data) or data[end + 4 : end + 8].isalpha()
        if kind in _PNG_CRITICAL or (kind.isalpha() and starts_next):
            yield kind, data[position:end]
            position = end
        else:
            position = _find_critical_chunk(data, position + 8)


def has_risky_png_tail(data: bytes) -> bool:
    """Check if a PNG file has chunks after its pixels that Pillow may fail to read."""
    if not data.startswith(_PNG):
        return False
    last = data.rfind(b"IDAT") - 4
    if last < 0:
        return False
    end = last + 12 + struct.unpack_from(">I", data, last)[0]
    if end > len(data) or data[end + 4 : end + 8] == b"IEND":
        return False  # nothing more, or the pixels are cut off, which decoding reports
    kinds = [kind for kind, _ in iterate_png_chunks(data, end)]
    return not kinds or kinds[-1] != b"IEND" or not _PNG_HARMLESS.issuperset(kinds)


def find_png_exif(data: bytes) -> bytes | None:
    """Return the EXIF data of a PNG file that has them after its pixels."""
    if b"eXIf" not in data or not data.startswith(_PNG):
        return None
    found = [chunk[8:-4] for kind, chunk in iterate_png_chunks(data) if kind == b"eXIf"]
    return found[-1] if found else None


def _find_critical_chunk(data: bytes, position: int) -> int | None:
    """Find the next chunk of pixels, palette or end whose checksum is right."""
    for match in re.finditer(rb"PLTE|IDAT|IEND", data[position:]):
        start = position + match.start() - 4
        end = start + 12 + struct.unpack_from(">I", data, start)[0]
        if zlib.crc32(data[start + 4 : end - 4]).to_bytes(4, "big") == data[end - 4 : end]:
            return start
    return None


def _strip_png(data: bytes, keep: set[str]) -> bytes:
    return _PNG + b"".join(
        chunk
        for kind, chunk in iterate_png_chunks(data)
        if kind in _PNG_CRITICAL or _PNG_OPTIONAL.get(kind) in keep
    )


def _strip_jpeg(data: bytes, keep: set[str]) -> bytes:
    """Leave out comments and application segments but those of JFIF and Adobe (colours)."""
    kept, position = [data[:2]], 2
    while position + 4 <= len(data):
        if data[position] != 0xFF or data[position + 1] in (0x00, 0xFF):
            position += 1  # filling
            continue
        marker = data[position + 1]
        length = struct.unpack_from(">H", data, position + 2)[0]
        end = position + 2 + length
        if marker == 0xDA:  # the scan
            return b"".join(kept) + data[position:]
        segment = data[position:end]
        is_metadata = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if is_metadata and data[end : end + 1] != b"\xff":
            end = _find_jpeg_tables(data, position)
        elif not is_metadata or _is_kept_in_jpeg(segment, keep):
            kept.append(segment)
        position = end
    return data


def _is_kept_in_jpeg(segment: bytes, keep: set[str]) -> bool:
    """True for JFIF and Adobe segments, and for EXIF or profile if in `keep`."""
    marker, content = segment[1], segment[4:]
    if marker == 0xE0:
        return content.startswith(b"JFIF\0") and len(content) >= _JFIF_BYTES
    if marker == 0xE1:
        return EXIF in keep and content.startswith(b"Exif\0\0")
    if marker == 0xE2:
        return PROFILE in keep and content.startswith(b"ICC_PROFILE\0") and len(content) >= 14
    return marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12


def _find_jpeg_tables(data: bytes, position: int) -> int:
    """Return where a JPEG's tables begin after a wrong length; its end if it may hold a preview.

    A small preview may be inside of the segment, whose tables would be taken for the image's.
    """
    tables = data.find(b"\xff\xdb\x00", position + 4)
    if tables < 0 or b"\xff\xd8\xff" in data[position + 4 : tables]:
        return len(data)
    return tables


def _strip_webp(data: bytes, keep: set[str]) -> bytes:
    flags = sum(bit for what, bit in _WEBP_FLAGS.items() if what not in keep)
    kept, position = [], 12
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        end = position + 8 + size + size % 2
        chunk = data[position:end]
        if kind == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes([chunk[8] & ~flags]) + chunk[9:]
        if kind in _WEBP_PIXELS or (end <= len(data) and _WEBP_OPTIONAL.get(kind) in keep):
            kept.append(chunk)
        position = end
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _strip_tiff(data: bytes, keep: set[str]) -> bytes:
    """Append a directory of the tags that the pixels need, and let the file begin with it."""
    order = "<" if data.startswith(b"II") else ">"
    is_big = data[2:4] in (b"\x2b\0", b"\0\x2b")
    # Position and format of the first offset, format of the count, and bytes of an entry.
    first, offset, number, size = (8, "Q", "Q", 20) if is_big else (4, "I", "H", 12)

    def is_kept(entry: bytes) -> bool:
        tag, kind = struct.unpack_from(order + "HH", entry)
        if tag == _TIFF_ORIENTATION:
            (value,) = struct.unpack_from(order + "H", entry, 4 + struct.calcsize(offset))
            return EXIF in keep and kind == 3 and 1 <= value <= 8
        return tag in _TIFF_PIXELS or (tag == _TIFF_PROFILE and PROFILE in keep)

    try:
        (start,) = struct.unpack_from(order + offset, data, first)
        (count,) = struct.unpack_from(order + number, data, start)
        begin = start + struct.calcsize(number)
        entries = [data[at : at + size] for at in range(begin, begin + count * size, size)]
        kept = [entry for entry in entries if is_kept(entry)]
    except struct.error:
        return data
    directory = struct.pack(order + number, len(kept)) + b"".join(kept) + bytes(8)
    padded = data + bytes(len(data) % 2)
    end = first + struct.calcsize(offset)
    return data[:first] + struct.pack(order + offset, len(padded)) + padded[end:] + directory


def _strip_avif(data: bytes, keep: set[str]) -> bytes:
    """Give EXIF and XMP items a kind that decoders ignore, which leaves all offsets right."""
    at = data.find(b"mdat")
    head = data[:at] if at >= 0 else data
    names = b"mime" if EXIF in keep else b"mime|Exif"
    head = re.sub(b"infe(.{8})(?:" + names + b")", rb"infe\1none", head, flags=re.DOTALL)
    return head + data[len(head) :]


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes, set[str]], bytes]], ...] = (
    (lambda data: data.startswith(_PNG), _strip_png),
    (lambda data: data.startswith(b"\xff\xd8\xff"), _strip_jpeg),
    (lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", _strip_webp),
    (lambda data: data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _strip_tiff),
    (lambda data: data[4:12] in (b"ftypavif", b"ftypavis"), _strip_avif),
)


class Orientation(NamedTuple):
    """An orientation of EXIF, 1 to 8, and why another one was not read, '' if none was there."""

    value: int = UPRIGHT
    fault: str = ""

    @property
    def swaps_sides(self) -> bool:
        """True if width becomes height."""
        return self.value >= 5


def read_orientation(info: Mapping[Any, Any]) -> Orientation:
    """Read the EXIF orientation from `Image.info`, without Pillow's EXIF reader.

    That one raises nearly anything where the data are damaged, warns on stderr, and reads all tags.
    """
    exif = info.get("exif")
    if exif is None and "Raw profile type exif" in info:
        try:
            exif = bytes.fromhex("".join(str(info["Raw profile type exif"]).split("\n")[3:]))
        except ValueError:
            return Orientation(fault="EXIF is not hexadecimal text")
    found = parse_exif_orientation(exif) if isinstance(exif, bytes) else None
    if found is not None:
        return found
    for key in ("XML:com.adobe.xmp", "xmp"):
        text = info.get(key) or ""
        if isinstance(text, bytes):
            text = text.decode("latin1")
        if match := _XMP.search(str(text)):
            return Orientation(int(match[1]))
    return Orientation()


def parse_exif_orientation(exif: bytes) -> Orientation | None:
    """Find the orientation in EXIF data; None if they have none."""
    while exif.startswith(_HEADER):
        exif = exif[len(_HEADER) :]
    if not exif:
        return None
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return Orientation(fault="EXIF has a wrong header")
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", exif, place)
            if tag == ORIENTATION_TAG:
                return _parse_orientation_value(kind, number, exif[place + 8 : place + 12], order)
    except struct.error:
        return Orientation(fault="EXIF is cut off")
    return None


def _parse_orientation_value(kind: int, number: int, value: bytes, order: str) -> Orientation:
    if kind not in _INTEGERS or number != 1:
        return Orientation(fault="EXIF orientation is not a number")
    (orientation,) = struct.unpack_from(order + _INTEGERS[kind], value)
    if not 1 <= orientation <= 8:
        return Orientation(fault="EXIF orientation is not 1 to 8")
    return Orientation(orientation)
