"""Laplacian pyramids against the official code and against SciPy."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics.swd import downsample, laplacian_pyramid, upsample
from tests.reference import paper_metrics

NOISE = np.random.RandomState(0).randint(0, 256, (2, 3, 64, 32)).astype(np.float32)


def reconstruct(levels: Sequence[Tensor]) -> Tensor:
    """Return the images of a pyramid: the inverse of `laplacian_pyramid`."""
    images = levels[-1]
    for details in reversed(levels[:-1]):
        images = upsample(images) + details
    return images


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "laplacian_pyramid.npz") as arrays:
        return dict(arrays)


def test_pyramid_is_the_official_one(golden):
    images = torch.from_numpy(golden["images"]).float()
    levels = laplacian_pyramid(images, range(4), 4)
    for index, level in enumerate(levels):
        np.testing.assert_allclose(level, golden[f"level{index}"], atol=1e-3)
    assert [level.shape[-1] for level in levels] == [128, 64, 32, 16]


def test_official_levels_make_the_images_again(golden):
    levels = [torch.from_numpy(golden[f"level{index}"]) for index in range(4)]
    np.testing.assert_allclose(reconstruct(levels), golden["images"], atol=1e-4)


def test_down_and_up_are_the_official_ones(golden):
    # The official pyramid subtracts in place, so the file has lost the image itself; the detail
    # that was subtracted from it is its level 0.
    coarse = torch.from_numpy(golden["small_pyr_down"])
    image = torch.from_numpy(golden["small_level0"]) + upsample(coarse)
    np.testing.assert_allclose(downsample(image), golden["small_pyr_down"], atol=1e-3)
    np.testing.assert_allclose(upsample(image), golden["small_pyr_up"], atol=1e-3)


def test_pyramid_equals_scipy():
    ours = laplacian_pyramid(torch.from_numpy(NOISE), range(3), 3)
    for level, expected in zip(ours, paper_metrics.pyramid(NOISE, 3), strict=True):
        np.testing.assert_allclose(level, expected, atol=1e-3)


def test_up_equals_scipy():
    ours = upsample(torch.from_numpy(NOISE))
    np.testing.assert_allclose(ours, paper_metrics.up(NOISE.astype(np.float64)), atol=1e-3)


@pytest.mark.parametrize("num_levels", [1, 2, 3])
def test_one_level_alone_is_that_of_the_pyramid(num_levels):
    images = torch.from_numpy(NOISE)
    levels = laplacian_pyramid(images, range(num_levels), num_levels)
    for index, level in enumerate(levels):
        (alone,) = laplacian_pyramid(images, range(index, index + 1), num_levels)
        torch.testing.assert_close(alone, level)


def test_pyramid_makes_the_images_again_and_leaves_them_as_they_were():
    images = torch.from_numpy(NOISE.copy())
    again = reconstruct(laplacian_pyramid(images, range(3), 3))
    np.testing.assert_array_equal(images, NOISE)
    np.testing.assert_allclose(again, NOISE, atol=1e-4)


def test_a_plain_image_has_no_details():
    levels = laplacian_pyramid(torch.full((1, 1, 32, 32), 200.0), range(2), 2)
    np.testing.assert_allclose(levels[0], 0, atol=1e-4)
    np.testing.assert_allclose(levels[1], 200, atol=1e-4)
