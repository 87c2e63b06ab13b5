"""Images brought to one size."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metrics.samples import ImageShape
from metrics.sources import open_image_files, require_same_size, resize_images
from progan.data.pyramid import build_pyramid
from progan.errors import UserError

CHANNELS = st.sampled_from([1, 3, 4])
SEEDS = st.integers(0, 2**32 - 1)


def noise(seed: int, height: int, width: int, channels: int) -> np.ndarray:
    shape = (2, height, width, channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


@given(SEEDS, st.integers(1, 24), st.integers(1, 24), st.integers(1, 40), CHANNELS)
def test_all_images_become_squares_of_the_side(seed, height, width, side, channels):
    images = noise(seed, height, width, channels)
    before = images.copy()
    small = resize_images(images, side)
    assert small.shape == (2, side, side, channels)
    assert small.dtype == np.uint8
    np.testing.assert_array_equal(images, before)


@given(SEEDS, st.integers(1, 16), st.integers(1, 5), CHANNELS)
def test_what_is_enlarged_and_brought_back_is_itself(seed, side, factor, channels):
    images = noise(seed, side, side, channels)
    large = resize_images(images, side * factor)
    np.testing.assert_array_equal(large, images.repeat(factor, 1).repeat(factor, 2))
    np.testing.assert_array_equal(resize_images(large, side), images)


@given(SEEDS, st.integers(1, 8), st.integers(1, 5), st.integers(1, 5), CHANNELS)
def test_whole_multiples_become_averages(seed, side, down, across, channels):
    images = noise(seed, side * down, side * across, channels)
    boxes = images.astype(np.float64).reshape(2, side, down, side, across, channels)
    error = np.abs(resize_images(images, side) - boxes.mean((2, 4)))
    assert error.max() <= 0.5 + 1e-9


def test_averages_are_those_of_a_dataset():
    images = noise(0, 64, 64, 3)
    levels = build_pyramid(images)
    for level in (5, 4, 2):
        np.testing.assert_array_equal(resize_images(images, 1 << level), levels[level])


@pytest.mark.parametrize(("height", "width", "side"), [(30, 30, 20), (8, 16, 16), (31, 40, 10)])
def test_all_else_is_lanczos(height, width, side):
    images = noise(0, height, width, 3)
    expected = [
        np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.LANCZOS))
        for image in images
    ]
    np.testing.assert_array_equal(resize_images(images, side), expected)


def test_images_of_several_kinds_are_made_one_kind_by_a_whole_command(tmp_path):
    for name, modes in (("mixed", "L RGB"), ("grey", "L"), ("rgb", "RGB")):
        (tmp_path / name).mkdir()
        for number, mode in enumerate(modes.split()):
            Image.new(mode, (16, 16), "red").save(tmp_path / name / f"{number}.png")
    remedy = "create-from-images --channels 3 makes a dataset of"
    with pytest.raises(UserError, match=remedy):
        open_image_files(tmp_path / "mixed").sample(np.arange(2))
    grey, rgb = (open_image_files(tmp_path / name) for name in ("grey", "rgb"))
    with pytest.raises(UserError, match=remedy):
        require_same_size(grey, rgb)
    with pytest.raises(UserError, match="create-from-images --channels 1 makes"):
        require_same_size(replace(grey, count=None), rgb)  # a network


def test_the_side_to_resize_to_is_one_that_the_option_takes(tmp_path):
    Image.new("L", (16, 16)).save(tmp_path / "0.png")
    small = open_image_files(tmp_path)
    large, larger = (replace(small, size=ImageShape(side, side, 1)) for side in (5000, 6000))
    with pytest.raises(UserError, match="--resize 16 makes them alike"):
        require_same_size(small, large)
    with pytest.raises(UserError, match="--resize 4096 makes them alike"):
        require_same_size(large, larger)
