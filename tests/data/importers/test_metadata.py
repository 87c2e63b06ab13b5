"""Metadata, whole or damaged, never keep whole pixels from being read."""

import io
import random
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, features

from progan.data.image_source import UnreadableImage
from progan.data.importers.image_headers import read_header
from progan.data.importers.pixels import convert_mode, decode_srgb
from tests.data.importers.image_files import (
    ORIENTATION,
    SMOOTH,
    chunk,
    encoded,
    exif,
    turned,
    with_chunk,
)
from tests.for_each import for_each

TEXT, EXIF, PROFILE = "text and other metadata", "EXIF", "colour profile"
LARGE = zlib.compress(bytes(3 << 20))  # Pillow takes 1 MiB of text
PNG, JPEG = encoded(SMOOTH, "png"), encoded(SMOOTH, "jpeg")
OF_JPEG = np.asarray(Image.open(io.BytesIO(JPEG)))


def read(data: bytes) -> tuple[np.ndarray, list[str]]:
    """RGB pixels, and what was said of metadata; the header tells the size of the pixels."""
    found = read_header(data, "x")
    picture = decode_srgb(data, "x")
    assert found.size == picture.size
    return (
        np.asarray(convert_mode(picture, 3)),
        [note.short for note in found.notes if note.kind == "metadata"],
    )


CHUNKS = {
    "zTXt": (chunk(b"zTXt", b"a\0\0" + LARGE), TEXT),
    "iTXt": (chunk(b"iTXt", b"a\0\1\0\0\0" + LARGE), TEXT),
    "unknown compression": (chunk(b"zTXt", b"a\0\5x"), TEXT),
    "large profile": (chunk(b"iCCP", b"a\0\0" + LARGE), PROFILE),
    "empty profile": (chunk(b"iCCP", b"abc"), PROFILE),
    "gamma": (chunk(b"gAMA", b"ab"), TEXT),
    "chromaticities": (chunk(b"cHRM", b"abc"), TEXT),
    "resolution": (chunk(b"pHYs", b"a"), TEXT),
    "intent": (chunk(b"sRGB", b""), TEXT),
    "animation": (chunk(b"acTL", b"a"), TEXT),
    "frame": (chunk(b"fcTL", b"a" * 26), TEXT),
}


@for_each("at_end", [False, True])
@for_each("name", CHUNKS)
def test_a_png_chunk_that_pillow_refuses(name: str, at_end: bool) -> None:
    added, lacks = CHUNKS[name]
    pixels, said = read(with_chunk(PNG, added, at_end=at_end))
    np.testing.assert_array_equal(pixels, SMOOTH)
    assert said == [lacks]


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"tEXt", b"a\0b", checksum=5),
        struct.pack(">I", 99999) + b"tEXta\0bcrc0",
        struct.pack(">I", 3) + b"tEXta\0b and more than that",
    ],
)
def test_a_png_chunk_with_a_wrong_checksum_or_length(added: bytes) -> None:
    pixels, said = read(with_chunk(PNG, added, at_end=False))
    np.testing.assert_array_equal(pixels, SMOOTH)
    assert said == [TEXT]


def test_a_png_file_that_is_cut_off_behind_its_pixels() -> None:
    end = PNG.rindex(b"IEND") - 4
    for rest in (b"", struct.pack(">I", 50) + b"tEXtabc"):
        np.testing.assert_array_equal(read(PNG[:end] + rest)[0], SMOOTH)


def test_pixels_that_are_cut_off_are_still_refused() -> None:
    for data in (PNG, JPEG):
        with pytest.raises(UnreadableImage, match="(?i)truncated"):
            decode_srgb(data[: len(data) * 2 // 3], "x")


def test_the_orientation_outlives_other_metadata() -> None:
    png = encoded(SMOOTH, "png", exif=turned(6))
    pixels, said = read(with_chunk(png, CHUNKS["zTXt"][0], at_end=False))
    np.testing.assert_array_equal(pixels, np.rot90(SMOOTH, -1))
    assert said == [TEXT]


def segment(marker: int, content: bytes, length: int | None = None) -> bytes:
    size = len(content) + 2 if length is None else length
    return bytes([0xFF, marker]) + struct.pack(">H", size) + content


@for_each(
    "added",
    [
        segment(0xE0, b"JFIF"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x"),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE2, b"ICC_PROFILE\0\1\3abc"),
        segment(0xE2, b"MPF\0abc"),
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM"),
        segment(0xEE, b"Adobe"),
        segment(0xFE, b""),
        segment(0xE1, b"Exif\0\0abcd", 9999),
        segment(0xE1, b"Exif\0\0abcd", 65535),
        segment(0xE5, b"abcd\xff\x01efgh", 4),
        segment(0xE5, b"abcd\xff\xc0efgh", 4),
        segment(0xE5, b"abc", 0),
    ],
)
def test_a_jpeg_segment_that_pillow_refuses(added: bytes) -> None:
    np.testing.assert_array_equal(read(JPEG[:2] + added + JPEG[2:])[0], OF_JPEG)


def test_a_preview_is_not_taken_for_the_image() -> None:
    preview = encoded(SMOOTH[:8, :8], "jpeg")
    added = segment(0xE1, b"Exif\0\0" + preview, 65535)
    with pytest.raises(UnreadableImage):
        decode_srgb(JPEG[:2] + added + JPEG[2:], "x")


@pytest.mark.parametrize("lacking", [1, 30, 100])
def test_a_webp_file_that_is_cut_off_behind_its_pixels(lacking: int) -> None:
    webp = encoded(SMOOTH, "webp", exif=b"Exif\0\0II*\0abcd", xmp=b"abc" * 30)
    pixels, said = read(webp[:-lacking])
    np.testing.assert_array_equal(pixels, SMOOTH)
    assert TEXT in said


def with_tiff_tag(tiff: bytes, *entry: int) -> bytes:
    """A TIFF file with one more tag, or with another value of it: tag, type, count, value."""
    (start,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, start)
    entries = [tiff[at : at + 12] for at in range(start + 2, start + 2 + 12 * count, 12)]
    entries = [item for item in entries if struct.unpack_from("<H", item)[0] != entry[0]]
    entries = sorted(
        [*entries, struct.pack("<HHII", *entry)],
        key=lambda item: int(struct.unpack_from("<H", item)[0]),
    )
    padded = tiff + bytes(len(tiff) % 2)
    return (
        tiff[:4]
        + struct.pack("<I", len(padded))
        + padded[8:]
        + struct.pack("<H", len(entries))
        + b"".join(entries)
        + bytes(4)
    )


@for_each(
    "entry",
    [
        (34665, 4, 1, 99999999),
        (34665, 2, 3, 0),
        (34675, 2, 4, 8),
        (34675, 7, 99999, 8),
        (305, 2, 9999999, 4),
        (282, 5, 1, 9999999),
        (282, 2, 3, 0x616161),
        (274, 2, 2, 0x36),
        (274, 3, 1, 77),
        (700, 1, 99, 99999999),
        (50341, 13, 3, 5),
        (65000, 99, 1, 1),
        (296, 2, 4, 0x61),
        (34853, 4, 1, 8),
        (33723, 12, 2, 7),
    ],
)
@for_each("compression", [None, "tiff_lzw"])
def test_odd_tags_of_tiff(entry: tuple[int, ...], compression: str | None) -> None:
    tiff = encoded(SMOOTH, "tiff", compression=compression)
    np.testing.assert_array_equal(read(with_tiff_tag(tiff, *entry))[0], SMOOTH)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_damaged_exif_in_avif() -> None:
    avif = encoded(SMOOTH, "avif", exif=exif((0x10E, 2, 2, 0x41)))
    whole = read(avif)[0]
    at = avif.index(b"mdat")
    damaged = avif[:at] + avif[at:].replace(b"II*\0", b"XXXX")
    assert damaged != avif
    pixels, said = read(damaged)
    np.testing.assert_array_equal(pixels, whole)
    assert said == [EXIF]


ROTATED = np.rot90(SMOOTH, -1)  # as orientation 6 says
CASES: dict[str, tuple[bytes, np.ndarray, bool]] = {  # exif, pixels, whether a fault is told
    "none": (exif(), SMOOTH, False),
    "turned": (turned(6), ROTATED, False),
    "twice": (b"Exif\0\0" + turned(6), ROTATED, False),
    "byte": (exif((ORIENTATION, 1, 1, 6)), ROTATED, False),
    "long": (exif((ORIENTATION, 4, 1, 6)), ROTATED, False),
    "another tag of a wrong type": (
        exif((0xA003, 2, 3, 0x6261), (ORIENTATION, 3, 1, 6)),
        ROTATED,
        False,
    ),
    "zero": (turned(0), SMOOTH, True),
    "nine": (turned(9), SMOOTH, True),
    "text": (exif((ORIENTATION, 2, 2, 0x36)), SMOOTH, True),
    "fraction": (exif((ORIENTATION, 5, 1, 8)), SMOOTH, True),
    "two": (exif((ORIENTATION, 3, 2, 0x60006)), SMOOTH, True),
    "header": (b"Exif\0\0\0\x08\0\x02\x01\x12\0\x03", SMOOTH, True),
    "header only": (b"Exif\0\0II*\0", SMOOTH, True),
    "cut off": (exif((0x10F, 2, 1, 65), (ORIENTATION, 3, 1, 6))[:-16], SMOOTH, True),
    "elsewhere": (b"Exif\0\0MM\0*\x7f\xff\xff\xff", SMOOTH, True),
}


def png_with_exif_at_end(data: bytes) -> bytes:
    return with_chunk(PNG, chunk(b"eXIf", data.removeprefix(b"Exif\0\0")), at_end=True)


def png_with_exif(data: bytes) -> bytes:
    return with_chunk(PNG, chunk(b"eXIf", data.removeprefix(b"Exif\0\0")), at_end=False)


@for_each(
    "write",
    [png_with_exif, png_with_exif_at_end, lambda data: encoded(SMOOTH, "webp", exif=data)],
    ids=["png", "png at end", "webp"],
)
@for_each("name", CASES)
@pytest.mark.filterwarnings("error")
def test_the_orientation_of_exif(name: str, write: Callable[[bytes], bytes]) -> None:
    data, expected, is_fault = CASES[name]
    pixels, said = read(write(data))
    np.testing.assert_array_equal(pixels, expected)
    assert bool(said) == is_fault


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation(orientation: int) -> None:
    upright = {
        1: SMOOTH,
        2: SMOOTH[:, ::-1],
        3: SMOOTH[::-1, ::-1],
        4: SMOOTH[::-1],
        5: SMOOTH.swapaxes(0, 1),
        6: ROTATED,
        7: SMOOTH[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(SMOOTH),
    }[orientation]
    picture = Image.Exif()
    picture[ORIENTATION] = orientation
    for kind in ("png", "webp", "tiff"):
        pixels, said = read(encoded(SMOOTH, kind, exif=picture))
        np.testing.assert_array_equal(pixels, upright)
        assert not said


XMP = b'<x:xmpmeta><rdf tiff:Orientation="6"/></x:xmpmeta>'


def test_the_orientation_of_xmp() -> None:
    np.testing.assert_array_equal(read(encoded(SMOOTH, "webp", xmp=XMP))[0], ROTATED)


@pytest.mark.parametrize(
    ("tag", "upright"), [(None, ROTATED), (1, SMOOTH), (3, SMOOTH[::-1, ::-1])]
)
def test_in_tiff_the_orientation_of_xmp_counts_only_without_a_tag(
    tag: int | None, upright: np.ndarray
) -> None:
    tags = {700: XMP} if tag is None else {700: XMP, ORIENTATION: tag}
    data = encoded(SMOOTH, "tiff", tiffinfo=tags)
    np.testing.assert_array_equal(read(data)[0], upright)
    assert any(note.kind == "rotated" for note in read_header(data, "x").notes) == (tag != 1)


def test_exif_with_any_wrong_bytes_refuses_no_image() -> None:
    rich = Image.Exif()
    rich[0x10F], rich[ORIENTATION], rich[0x11A] = "Maker", 6, 72.0
    rich.get_ifd(0x8769)[0x829A] = 0.01
    rich.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)
    whole, generator = rich.tobytes(), random.Random(0)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(generator.choice([1, 2, 4, 40])):
            data[generator.randrange(len(data))] = generator.randrange(256)
        pixels, _ = read(encoded(SMOOTH, "jpeg", exif=bytes(data)))
        assert pixels.size == SMOOTH.size
