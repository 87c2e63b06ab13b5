"""Colour profiles, colour models, bit depths and frames of images."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, features

from progan.data.image_source import UnreadableImage
from progan.data.importers.color import find_partial_range, scale_to_8_bits
from progan.data.importers.image_headers import read_header
from progan.data.importers.pixels import convert_mode, decode_image, decode_srgb
from tests.data.importers.image_files import (
    SMOOTH,
    chunk,
    cmyk_profile,
    encoded,
    grey_profile,
    png16,
    srgb_profile,
    swapped_profile,
    turned,
    with_chunk,
)

COLOUR = (200, 90, 10)
SWAPPED = [10, 90, 200]


def read(data: bytes) -> tuple[list[int], dict[str, str]]:
    """The first pixel in sRGB and of the native channels; what is said: kind -> what differs."""
    found = read_header(data, "x")
    picture = convert_mode(decode_srgb(data, "x"), found.channels)
    return (
        np.atleast_1d(np.asarray(picture)[0, 0]).tolist(),
        {note.kind: note.short for note in found.notes},
    )


def plain(mode: str, value: object) -> Image.Image:
    return Image.new(mode, (8, 8), value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "kind",
    [
        "png",
        "jpeg",
        "webp",
        "tiff",
        pytest.param(
            "avif", marks=pytest.mark.skipif(not features.check("avif"), reason="no AVIF here")
        ),
    ],
)
def test_profiles_are_converted_to_srgb(kind: str) -> None:
    data = encoded(plain("RGB", COLOUR), kind, icc_profile=swapped_profile())
    pixel, said = read(data)
    np.testing.assert_allclose(pixel, SWAPPED, atol=2)
    assert said == {"profile": "sRGB built-in"}
    # Sources that follow an official tool keep what is stored.
    np.testing.assert_allclose(np.asarray(decode_image(data, "x"))[0, 0], COLOUR, atol=2)


@pytest.mark.parametrize(
    ("mode", "value", "profile", "expected"),
    [
        ("RGBA", (*COLOUR, 99), swapped_profile(), [*SWAPPED, 99]),
        ("P", 1, swapped_profile(), SWAPPED),
        ("L", 100, grey_profile(1.0), [168]),
        ("LA", (100, 7), grey_profile(1.0), [168, 168, 168, 7]),
        ("I;16", 25700, grey_profile(1.0), [168]),
    ],
)
def test_every_kind_of_pixel_has_its_profile_converted(
    mode: str, value: object, profile: bytes, expected: list[int]
) -> None:
    picture = plain(mode, value)
    if mode == "P":
        picture.putpalette([0, 0, 0, *COLOUR])
    pixel, said = read(encoded(picture, "png", icc_profile=profile))
    assert pixel == expected
    assert "profile" in said


def test_a_colour_key_is_that_of_the_stored_colours() -> None:
    pixel, _ = read(
        encoded(plain("RGB", COLOUR), "png", icc_profile=swapped_profile(), transparency=COLOUR)
    )
    assert pixel == [*SWAPPED, 0]


@pytest.mark.parametrize("kind", ["tiff", "jpeg"])
def test_cmyk_is_converted_by_its_own_profile_or_told_of(kind: str) -> None:
    cyan = plain("CMYK", (255, 0, 0, 0))
    pixel, said = read(encoded(cyan, kind, icc_profile=cmyk_profile()))
    np.testing.assert_allclose(pixel, [147] * 3, atol=1)
    assert said == {"profile": "Grey inks"}
    pixel, said = read(encoded(cyan, kind))
    np.testing.assert_allclose(pixel, [0, 255, 255], atol=1)
    assert said == {"CMYK": ""}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_srgb_changes_nothing_and_is_not_told(mode: str) -> None:
    picture = Image.fromarray(SMOOTH).convert(mode)
    data = encoded(picture, "png", icc_profile=srgb_profile())
    assert not {"profile", "profile-ignored"} & set(read(data)[1])
    np.testing.assert_array_equal(np.asarray(decode_srgb(data, "x")), np.asarray(picture))


@pytest.mark.parametrize(
    ("mode", "profile", "fault"),
    [
        ("RGB", b"no profile " * 20, "broken"),
        ("RGB", swapped_profile()[:300], "broken"),
        ("RGB", grey_profile(1.0), "made for GRAY, not for RGB pixels"),
        ("RGB", cmyk_profile(), "made for CMYK, not for RGB pixels"),
        ("L", swapped_profile(), "made for RGB, not for GRAY pixels"),
        ("CMYK", swapped_profile(), "made for RGB, not for CMYK pixels"),
    ],
)
def test_profiles_that_cannot_be_used_are_named(mode: str, profile: bytes, fault: str) -> None:
    picture = Image.fromarray(SMOOTH).convert(mode)
    data = encoded(picture, "tiff", icc_profile=profile)
    assert read(data)[1]["profile-ignored"] == fault
    np.testing.assert_array_equal(np.asarray(decode_srgb(data, "x")), np.asarray(picture))


def test_lab_is_converted() -> None:
    lab = ImageCms.applyTransform(
        plain("RGB", COLOUR),
        ImageCms.buildTransform(
            ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
        ),
    )
    assert lab is not None
    pixel, said = read(encoded(lab, "tiff"))
    np.testing.assert_allclose(pixel, COLOUR, atol=8)  # 8 bits of CIELAB are coarse
    assert said == {"LAB": ""}


def test_another_gamma_than_that_of_srgb_is_told() -> None:
    png = encoded(SMOOTH, "png")
    for value, said in ((45455, {}), (100000, {"gamma": "1"}), (0, {"gamma": "0"})):
        added = chunk(b"gAMA", value.to_bytes(4, "big"))
        assert read(with_chunk(png, added, at_end=False))[1] == said


@pytest.mark.parametrize("kind", ["gif", "png", "tiff", "webp"])
def test_the_first_frame_is_taken_and_told(kind: str) -> None:
    frames = [plain("RGB", colour) for colour in (COLOUR, (0, 0, 0), (255, 255, 255))]
    pixel, said = read(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert pixel[:3] == list(COLOUR)
    assert "frames" in said
    assert "frames" not in read(encoded(frames[0], kind))[1]


def test_16_bits_per_channel_are_read_and_told() -> None:
    for channels in (2, 3, 4):
        pixel, said = read(png16(np.full((8, 8, channels), 40000)))
        assert set(pixel) == {156}
        assert "16-bit" in said
    big_endian = Image.frombytes("I;16B", (8, 8), np.full((8, 8), 40000, ">u2").tobytes())
    assert read(encoded(big_endian, "tiff")) == ([156], {"16-bit": ""})


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_the_white_level_becomes_white(white: int) -> None:
    values = np.arange(white + 1, dtype=np.uint16)[None]
    eight = np.asarray(scale_to_8_bits(Image.fromarray(values), white))
    np.testing.assert_array_equal(eight, np.floor(values * (255 / white) + 0.5))
    above = Image.fromarray(np.array([[white, min(2 * white, 65535)]], np.uint16))
    assert np.asarray(scale_to_8_bits(above, white)).tolist() == [[255, 255]]


@pytest.mark.parametrize("white", [2.0**53, 1e19, 1e300])
def test_a_white_level_may_be_any_number(white: float) -> None:
    for dtype in (np.uint16, np.int32):
        image = Image.fromarray(np.array([[0, 65535]], dtype))
        assert np.asarray(scale_to_8_bits(image, white)).tolist() == [[0, 0]]


def test_floating_point_values_need_a_white_level() -> None:
    values = np.linspace(-0.5, 2, 16, dtype=np.float32).reshape(4, 4)
    data = encoded(Image.fromarray(values), "tiff")
    with pytest.raises(UnreadableImage, match="from -0.5 to 2: none .* --white-level"):
        decode_srgb(data, "x")
    scaled = np.asarray(decode_srgb(data, "x", white_level=2))
    np.testing.assert_allclose(scaled, values.clip(0) * 127.5, atol=0.51)
    values[0, 0] = np.nan
    with pytest.raises(UnreadableImage, match="not all finite"):
        decode_srgb(encoded(Image.fromarray(values), "tiff"), "x", white_level=2)


@pytest.mark.parametrize(
    ("peaks", "bits", "num_dark"),
    [
        ([4095] * 3, 12, 3),
        ([900, 20], 10, 2),
        ([16383] * 9 + [65535], 14, 9),
        ([200], 8, 1),
        ([4095] * 8 + [65535], None, 0),
        ([65535, 3], None, 0),
        ([20000], None, 0),
        ([0], None, 0),
    ],
)
def test_the_set_decides_whether_it_is_dark(
    peaks: list[int], bits: int | None, num_dark: int
) -> None:
    found = find_partial_range("grey", {str(row): peak for row, peak in enumerate(peaks)})
    assert (found.bits if found else None) == bits
    assert (len(found.paths) if found else 0) == num_dark


def test_the_size_is_that_of_the_upright_image(tmp_path: Path) -> None:
    for kind in ("png", "webp", "jpeg", "tiff"):
        exif = Image.Exif()
        exif.load(turned(6))
        data = encoded(SMOOTH, kind, exif=exif)
        assert read_header(data, "x").size == (24, 32) == decode_srgb(data, "x").size
