"""MS-SSIM against the official code and against SciPy."""

import json

import numpy as np
import pytest
import torch

from metrics import ms_ssim
from metrics.detector import MetricContext
from metrics.samples import ImageShape
from progan.errors import UserError
from tests.builders import image_sample
from tests.reference import paper_metrics


def measure(images: np.ndarray) -> float:
    """MS-SSIM of uint8 [N, C, H, W]."""
    context = MetricContext(seed=0, device=torch.device("cpu"))
    return ms_ssim.measure(image_sample(images), image_sample(images), context)["MS-SSIM"]


def alike(
    side: int, channels: int = 3, count: int = 4, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of images, from nearly equal to independent: uint8 [N, C, side, width or side] each."""
    random = np.random.RandomState(0)
    first, other = random.randint(0, 256, (2, count, channels, side, width or side))
    weight = np.linspace(0.1, 1, count)[:, None, None, None]
    return first.astype(np.uint8), ((1 - weight) * first + weight * other).astype(np.uint8)


@pytest.mark.parametrize("name", ["reals", "fakes"])
def test_ms_ssim_is_the_official_one(shared, name):
    expected = json.loads((shared / "golden" / "metrics_shared.json").read_text())["ms_ssim"][name]
    with np.load(shared / "golden" / "metrics_shared_images.npz") as arrays:
        assert measure(arrays[name]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("side", "channels"), [(16, 3), (32, 1), (96, 4)])
def test_pairs_equal_scipy(side, channels):
    first, second = alike(side, channels)
    ours = ms_ssim.ms_ssim(torch.from_numpy(first).float(), torch.from_numpy(second).float())
    expected = paper_metrics.ms_ssim(first, second)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    assert expected[0] > 0.9 > 0.5 > expected[-1], "the pairs should be of all kinds"


@pytest.mark.parametrize(("height", "width"), [(16, 24), (24, 16), (17, 31), (96, 64), (20, 112)])
def test_pairs_of_any_shape_equal_scipy(height, width):
    first, second = alike(height, width=width)
    ours = ms_ssim.ms_ssim(torch.from_numpy(first).float(), torch.from_numpy(second).float())
    np.testing.assert_allclose(ours, paper_metrics.ms_ssim(first, second), atol=2e-5)


def test_equal_images_are_alike_in_full():
    images = alike(64)[0]
    assert measure(np.concatenate([images[:1], images[:1]])) == pytest.approx(1, abs=1e-5)


def test_opposite_images_have_nothing_in_common():
    image = alike(64)[0][:1]
    assert measure(np.concatenate([image, 255 - image])) == 0


def test_neighbours_are_pairs_also_across_batches():
    first, second = alike(16, 1, count=300)
    mixed = np.stack([first, second], axis=1).reshape(600, 1, 16, 16)
    assert measure(mixed) == pytest.approx(paper_metrics.ms_ssim(first, second).mean(), abs=2e-5)


def test_window_is_a_bell_of_sum_one():
    bell = ms_ssim.gaussian_taps(11)
    assert sum(bell) == pytest.approx(1)
    assert bell == bell[::-1]
    assert bell[6] / bell[5] == pytest.approx(np.exp(-1 / (2 * 1.5**2)))


def test_odd_numbers_are_refused():
    with pytest.raises(UserError, match="odd number. Ask for 6"):
        ms_ssim.require_measurable(ImageShape(64, 64, 3), 7)
    ms_ssim.require_measurable(ImageShape(64, 64, 3), 8)


@pytest.mark.parametrize(
    "size", [ImageShape(8, 8, 3), ImageShape(15, 64, 3), ImageShape(64, 15, 3)]
)
def test_sizes_that_are_too_small_are_refused(size):
    with pytest.raises(UserError, match=f"{size}.*at least 16 px"):
        ms_ssim.require_measurable(size, 2)
    ms_ssim.require_measurable(ImageShape(16, 24, 3), 2)
