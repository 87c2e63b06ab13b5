"""Which sample grids a page keeps, and how small it makes them."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from progan.report.images import (
    MAX_FRAMES,
    Cells,
    build_section,
    choose_frames,
    encode_within,
    find_grids,
    open_image,
    shrink_to_width,
)
from progan.report.page import render_section
from progan.report.run_data import read_run
from tests.builders import tiny_run
from tests.report.pages import Page
from tests.report.runs import made_run


def samples_page(directory: Path) -> Page:
    return Page(render_section("samples", lambda: build_section(read_run(directory))))


def test_few_grids_are_all_kept() -> None:
    assert choose_frames([0, 10, 20], [10.0, 99.0], 60) == [0, 1, 2]
    assert choose_frames([7], [], 60) == [0]


def test_the_ends_of_phases_are_kept_and_the_others_evenly() -> None:
    moments = list(range(0, 1000, 10))
    kept = choose_frames(moments, [105.0, 333.0, 666.0], 12)
    assert {0, 10, 33, 66, 99} <= set(kept) and len(kept) == 12
    assert max(np.diff(kept)) <= 20


@given(
    st.lists(st.integers(0, 10**7), min_size=1, max_size=150, unique=True).map(sorted),
    st.lists(st.floats(0, 2e7), max_size=17),
    st.integers(20, 60),
)
def test_what_is_chosen_is_in_order_and_no_more_than_wanted(moments, ends, most) -> None:
    kept = choose_frames(moments, ends, most)
    assert kept == sorted(set(kept)) and len(kept) == min(most, len(moments))
    assert {0, len(moments) - 1} <= set(kept)


def test_grids_are_in_the_order_of_their_images(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    for name in ("fakes-000012.png", "fakes-000012_640.png", "fakes-x.png"):
        Image.new("RGB", (8, 8)).save(directory / name)  # of an older run: no text in it
    found = [grid.images_seen for grid in find_grids(directory)]
    assert found == [*range(0, 5600, 700), 12000, 12640]


def test_a_grid_is_cut_and_made_opaque(tmp_path: Path) -> None:
    Image.new("RGBA", (64, 32), (0, 0, 0, 0)).save(tmp_path / "a.png")
    Image.new("L", (64, 32), 9).save(tmp_path / "b.png")
    Image.new("P", (64, 32)).save(tmp_path / "c.png")
    cells = Cells(2, 1, 16, 16)
    images = [open_image(tmp_path / f"{name}.png", cells) for name in "abc"]
    assert [image.size for image in images] == [(32, 16)] * 3
    assert images[0].getpixel((0, 0)) == (255, 255, 255)
    assert images[1].getpixel((0, 0)) == (9, 9, 9)
    assert open_image(tmp_path / "a.png", Cells(9, 9, 16, 16)).size == (64, 32)


def test_an_image_that_is_too_tall_for_its_format_is_scaled_down() -> None:
    (file,) = encode_within([Image.new("RGB", (200, 18_000))], 300_000)
    assert Image.open(io.BytesIO(file)).size == (182, 16_380)


def test_many_images_stay_within_the_bytes_that_they_may_have() -> None:
    noise = np.random.RandomState(0).randint(0, 256, (3, 400, 800, 3)).astype(np.uint8)
    images = [Image.fromarray(each) for each in noise]
    files = encode_within(images, 150_000)
    assert sum(map(len, files)) <= 150_000
    sizes = {Image.open(io.BytesIO(file)).size for file in files}
    assert len(sizes) == 1 and sizes < {(640, 320), (480, 240), (320, 160), (200, 100)}
    assert encode_within([], 9) == []
    assert shrink_to_width(images[0], 1024) is images[0]


def test_sixty_of_many_grids_are_kept_and_it_says_so(tmp_path: Path) -> None:
    run = tiny_run(resolution=4, total_kimg=70)
    directory = made_run(tmp_path, settings=run)
    for kimg in range(6, 70):
        shutil.copy(directory / "reals.png", directory / f"fakes-{kimg:06d}.png")
    page = samples_page(directory)
    frames = [image for image in page.images if "data-kimg" in image]
    assert len(frames) == MAX_FRAMES
    assert f"{MAX_FRAMES} of 72 sample grids, of each the first 8×4" in page.text[""]
    assert [image["data-kimg"] for image in frames][:: MAX_FRAMES - 1] == ["0", "69"]
    assert [image for image in frames if "hidden" not in image] == frames[-1:]


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_grid_is_left_out(tmp_path: Path, content: bytes | None) -> None:
    directory = made_run(tmp_path)
    path = directory / "fakes-000002_100.png"
    path.write_bytes(path.read_bytes()[:300] if content is None else content)
    page = samples_page(directory)
    assert "All 7 sample grids" not in page.text[""] and "7 of 8" in page.text[""]
    assert "1 could not be read." in page.text[""]
