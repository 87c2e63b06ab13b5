"""Pictures: the conversion between uint8 and [-1, 1], grids, PNG files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.images import (
    arrange_grid,
    enlarge_by_repeating_pixels,
    read_png_text,
    save_png,
    to_float,
    to_opaque_pil,
    to_pil,
    to_pixels,
    to_uint8,
)

ALL = torch.arange(256, dtype=torch.uint8)


def test_every_grey_level_survives_the_trip() -> None:
    assert to_uint8(to_float(ALL)).tolist() == list(range(256))


def test_the_official_formula() -> None:
    """misc.adjust_dynamic_range of the official code: data * scale + bias, in float32."""
    scale = (np.float32(1) - np.float32(-1)) / (np.float32(255) - np.float32(0))
    bias = np.float32(-1) - np.float32(0) * scale
    expected = ALL.numpy().astype(np.float32) * scale + bias
    signed = to_float(ALL)
    assert signed.dtype == torch.float32
    np.testing.assert_allclose(signed.numpy(), expected, rtol=0, atol=1.2e-7)
    assert (signed[0], signed[-1]) == (-1, 1)


def test_back_to_bytes_by_the_official_formula() -> None:
    """misc.convert_to_pil_image: rint of the range [-1, 1] stretched to [0, 255], clipped."""
    x = np.linspace(-1.5, 1.5, 3001)
    scale = 255 / 2
    expected = np.clip(np.rint(x * scale + (0 - -1 * scale)), 0, 255)
    np.testing.assert_array_equal(to_uint8(torch.from_numpy(x)).numpy(), expected)


def test_what_is_out_of_range_is_clipped_not_wrapped() -> None:
    assert to_uint8(torch.tensor([-99.0, -1.001, 1.001, 99.0])).tolist() == [0, 0, 255, 255]


def test_network_output_becomes_rows_of_pixels() -> None:
    x = torch.full((2, 3, 4, 5), -1.0)
    x[1, 2, 3, 0] = 1
    pixels = to_pixels(x)
    assert (pixels.shape, pixels.dtype) == ((2, 4, 5, 3), np.uint8)
    assert np.argwhere(pixels == 255).tolist() == [[1, 3, 0, 2]]


@pytest.mark.parametrize(
    ("count", "columns", "rows"), [(6, 3, 2), (5, 3, 2), (1, 1, 1), (3, 5, 1), (7, 2, 4)]
)
def test_grids_go_row_by_row_and_end_in_black(count: int, columns: int, rows: int) -> None:
    images = np.random.RandomState(0).randint(1, 256, (count, 2, 3, 3)).astype(np.uint8)
    sheet = arrange_grid(images, columns)
    assert sheet.shape == (rows * 2, columns * 3, 3)
    for place in range(rows * columns):
        y, x = place // columns * 2, place % columns * 3
        cell = sheet[y : y + 2, x : x + 3]
        np.testing.assert_array_equal(cell, images[place] if place < count else np.zeros_like(cell))


def test_pixels_are_repeated_to_enlarge() -> None:
    small = np.arange(2 * 4 * 4 * 1, dtype=np.uint8).reshape(2, 4, 4, 1)
    large = enlarge_by_repeating_pixels(small, 16)
    assert large.shape == (2, 16, 16, 1)
    for y in range(16):
        for x in range(16):
            assert (large[:, y, x] == small[:, y // 4, x // 4]).all()
    np.testing.assert_array_equal(enlarge_by_repeating_pixels(small, 4), small)
    assert enlarge_by_repeating_pixels(small[:, :, :2], 8).shape == (2, 16, 8, 1)
    assert enlarge_by_repeating_pixels(small[:, :2], 8).shape == (2, 8, 16, 1)
    np.testing.assert_array_equal(enlarge_by_repeating_pixels(small, 2), small)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_transparency_lies_on_white(channels: int) -> None:
    pixels = np.full((2, 3, channels), 100, np.uint8)
    pixels[..., 3:] = 0
    assert (np.asarray(to_opaque_pil(pixels)) == (255 if channels == 4 else 100)).all()
    np.testing.assert_array_equal(np.asarray(to_pil(pixels)).reshape(pixels.shape), pixels)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_png_keeps_every_pixel_and_its_provenance(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = np.random.RandomState(1).randint(0, 256, (5, 7, channels)).astype(np.uint8)
    text = {"Software": "progan", "Command": "generate.py --outdir 'Bilder für Zoë →'"}
    save_png(tmp_path / "a.png", pixels, text)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (7, 5))
        assert image.text == text  # type: ignore[attr-defined]
        assert read_png_text(tmp_path / "a.png") == text
        np.testing.assert_array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_what_is_no_picture_has_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG not really")
    assert read_png_text(tmp_path / "a.png") == read_png_text(tmp_path / "absent.png") == {}


def test_a_failed_png_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    save_png(path, np.full((2, 2, 3), 9, np.uint8))
    old = path.read_bytes()
    with pytest.raises((TypeError, ValueError, KeyError)):
        save_png(path, np.zeros((2, 2, 7), np.uint8))
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
