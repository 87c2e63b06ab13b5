"""Grids, contact sheets, captions."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.errors import UserError
from progan.sampling import image_files
from progan.sampling.image_files import (
    GAP,
    ImageOutput,
    caption_below,
    contact_sheet,
    full_grid,
    require_sheet_size,
    scale_to_sheet_cell,
    sheet_layout,
    write_caption_in_corner,
    write_sheet,
)
from progan.sampling.latents import batch_from_seeds
from progan.sampling.options import parse_grid
from progan.sizes import Size
from tests.builders import tiny_snapshot

NOISE = np.random.RandomState(0).randint(0, 256, (3, 8, 12, 4)).astype(np.uint8)
GREY = {channels: np.full((300, 400, channels), 120, np.uint8) for channels in (1, 3, 4)}


@pytest.mark.parametrize(
    ("text", "count", "columns_rows"), [("8x4", 32, (8, 4)), ("8x4", 1, (8, 4)), ("1x1", 1, (1, 1))]
)
def test_grids(text: str, count: int, columns_rows: tuple[int, int]) -> None:
    assert parse_grid(text, count) == columns_rows


@pytest.mark.parametrize(
    "text", ["", "8", "8x", "x4", "8*4", "0x4", "4x0", "8x4x2", "-1x4", "2.5x2"]
)
def test_what_is_no_grid_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not COLSxROWS such as 8x4"):
        parse_grid(text, 1)


def test_a_grid_that_is_too_small_is_counted() -> None:
    with pytest.raises(UserError, match="--grid 3x2 has 6 cells, too few for 7 images"):
        parse_grid("3x2", 7)


@given(st.integers(1, 5000), st.integers(4, 63), st.integers(4, 63))
def test_a_sheet_lays_itself_out_without_an_empty_row(count: int, height: int, width: int) -> None:
    columns, rows = sheet_layout(count, Size(height, width))
    assert (rows - 1) * columns < count <= rows * columns


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (1, Size(4, 4), (1, 1)),
        (6, Size(4, 4), (3, 2)),
        (24, Size(16, 16), (6, 4)),
        (100, Size(4, 4), (12, 9)),
        (6, Size(4, 12), (2, 3)),
        (6, Size(24, 4), (6, 1)),
    ],
)
def test_it_is_shaped_like_a_screen(count: int, size: Size, expected: tuple[int, int]) -> None:
    assert sheet_layout(count, size) == expected


def test_cells_that_remain_are_black() -> None:
    sheet = full_grid(NOISE, 2, 3)
    np.testing.assert_array_equal(sheet[:8, 12:], NOISE[1])
    np.testing.assert_array_equal(sheet[8:16, :12], NOISE[2])
    assert sheet.shape == (24, 24, 4) and not sheet[16:].any() and not sheet[8:, 12:].any()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_cells_of_a_contact_sheet_are_neither_tiny_nor_huge(channels: int) -> None:
    small = NOISE[0, ..., :channels]
    large = np.full((512, 1024, channels), 7, np.uint8)
    large[..., 3:] = 255
    assert scale_to_sheet_cell(small).shape == (64, 96, channels)
    np.testing.assert_array_equal(scale_to_sheet_cell(small)[::8, ::8], small)
    assert scale_to_sheet_cell(large).shape == (128, 256, channels)
    np.testing.assert_array_equal(scale_to_sheet_cell(large), large[::4, ::4])


def test_each_image_of_a_contact_sheet_has_its_words_below() -> None:
    images = [np.full((64, 96, 3), level, np.uint8) for level in (0, 90, 180)]
    page = contact_sheet(images, ["seed 7", "seed 11", ""], 2, 2)
    height, width = page.shape[0] // 2, 96 + GAP
    assert page.shape[1:] == (2 * width, 3) and height > 64 + GAP + 10
    for number, (row, column) in enumerate([(0, 0), (0, 1), (1, 0)]):
        place = page[row * height : (row + 1) * height, column * width : (column + 1) * width]
        half = GAP // 2
        assert (place[half : half + 64, half : half + 96] == 90 * number).all()
        words = place[half + 64 :]
        assert (words == 255).mean() > 0.8 and (words < 128).any() == (number < 2)
    assert (page[height:, width:] == 255).all()


def test_a_page_that_nobody_looks_at_is_refused() -> None:
    require_sheet_size(100, 100, Size(16, 24), 3)
    with pytest.raises(UserError, match="2000x2000 images of 24x16 px are 4.3 GiB large"):
        require_sheet_size(2000, 2000, Size(16, 24), 3)


@pytest.mark.parametrize(
    ("kind", "columns", "words"),
    [("png", 50_000, "more than"), ("webp", 300, "exceeds its limit of 16383 px")],
)
def test_a_contact_sheet_that_is_too_large_is_refused_before_anything_is_generated(
    tmp_path: Path, kind: str, columns: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the size of its cells, which are at least 64 px, and not by that of the images."""
    monkeypatch.setattr(image_files, "render_single", None)
    snapshot = tiny_snapshot(level=2)
    output = ImageOutput(folder=tmp_path, kind=kind)
    with pytest.raises(UserError, match=words):
        write_sheet(snapshot, batch_from_seeds(snapshot, "0-299"), output, columns, 3)


@pytest.mark.parametrize("channels", GREY)
def test_words_below_leave_the_image_alone(channels: int) -> None:
    image = GREY[channels].copy()
    image[..., 3:] = 255
    captioned = caption_below(image, "seed 7")
    assert captioned.shape[1:] == (400, 3)
    assert (captioned[:300] == 120).all() and (captioned[300:] < 100).any()
    assert (captioned[-1] == 255).all()


def test_all_lines_are_equally_high() -> None:
    assert len({caption_below(GREY[3], words).shape for words in ("", "a", "Ágy", "0")}) == 1


def test_words_in_the_corner_cover_no_more_than_that() -> None:
    stamped = write_caption_in_corner(GREY[3], "16→32 fade 43%   kimg 12.3   1h 02m")
    changed = np.argwhere((stamped != 120).any(-1))
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert (left, bottom) == (0, 299) and top > 260 and 150 < right < 390
    assert (stamped == 255).any() and (stamped == 0).any()


def test_the_font_has_an_arrow() -> None:
    """What a font does not have looks all the same."""
    arrow, missing = (caption_below(GREY[3], words)[300:] for words in ("→", "\ue000"))
    assert (arrow != missing).any()
