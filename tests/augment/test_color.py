"""Colours: the 4x4 matrices of appendix B, multiplied out."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from progan.augment import COLOR_KINDS, recolor
from progan.config import Augment
from tests.augment.numbers import chosen
from tests.for_each import for_each

ONE = torch.tensor(1.0)
COLOR = Augment(augment_kinds="color")
AXIS = np.array([1, 1, 1, 0]) / np.sqrt(3)


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, shape))


def matrix(name: str, number: float) -> npt.NDArray[np.float64]:
    """Homogeneous matrix of a transform for its uniform or normal number (the listing of B.2)."""
    result, along = np.eye(4), np.outer(AXIS, AXIS)
    if name == "brightness":
        result[:3, 3] = 0.2 * number
    elif name == "contrast":
        result[range(3), range(3)] = 2 ** (0.5 * number)
    elif name == "luma":
        result -= 2 * along * (number < 0.5)
    elif name == "hue":
        result[:3, :3] = Rotation.from_rotvec(AXIS[:3] * np.pi * (2 * number - 1)).as_matrix()
    else:
        result = along + (np.eye(4) - along) * 2**number
    return result


@for_each(
    "numbers",
    [
        *({name: number} for name in COLOR_KINDS for number in (0.2, 0.9)),
        {"brightness": -0.8, "contrast": 0.7},
        {"luma": 0.1, "hue": 0.7},
        {"brightness": 1.3, "contrast": -0.4, "luma": 0.3, "hue": 0.1, "saturation": -1.2},
    ],
)
def test_colours_are_those_of_the_matrices(numbers: dict[str, float]) -> None:
    images = noise(2, 3, 4, 5)
    product = np.eye(4)
    for name, number in numbers.items():
        product = matrix(name, number) @ product
    expected = np.einsum("ij,njhw->nihw", product[:3, :3], images) + product[:3, 3, None, None]
    found = recolor(images, ONE, chosen(2, **numbers), COLOR)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_images_have_only_brightness_and_contrast(channels: int) -> None:
    images = noise(2, channels, 4, 4)
    assert torch.equal(
        recolor(images, ONE, chosen(2, luma=0.1, hue=0.1, saturation=1.0), COLOR), images
    )
    found = recolor(images, ONE, chosen(2, brightness=0.5, contrast=2.0, luma=0.1), COLOR)
    np.testing.assert_allclose(found[:, 0], (images[:, 0] + 0.1) * 2, atol=1e-12)


@pytest.mark.parametrize("channels", [2, 4])
def test_opacity_stays(channels: int) -> None:
    images = noise(2, channels, 4, 4)
    found = recolor(images, ONE, chosen(2, brightness=1.0, contrast=1.0, saturation=1.0), COLOR)
    assert torch.equal(found[:, -1], images[:, -1])
    assert not torch.equal(found[:, 0], images[:, 0])


def test_strength_0_changes_only_luma() -> None:
    images = noise(1, 3, 4, 4)
    config = Augment(augment_kinds="color", augment_color=0)
    found = recolor(images, ONE, chosen(brightness=1, contrast=1, hue=0.9, saturation=1), config)
    np.testing.assert_allclose(found, images, rtol=0, atol=1e-15)
