"""Geometry: the maps of explicit matrices, the right way round."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from progan.augment import compute_inverse_map, transform_geometry
from progan.config import Augment
from tests.augment.numbers import chosen, drawn

ONE = torch.tensor(1.0)
ALL = Augment(augment_kinds="zoom,stretch,rotate,shift")


def spot(h: int, w: int, x: float, y: float) -> Tensor:
    """A round spot, x and y pixels from the centre."""
    rows = (torch.arange(h) - (h - 1) / 2 - y)[:, None].double()
    columns = (torch.arange(w) - (w - 1) / 2 - x)[None].double()
    return (-(rows**2 + columns**2) / 4.5).exp()[None, None]


def moments(image: Tensor) -> tuple[float, float, float, float]:
    """Mean and deviation of x and of y, from the centre."""
    weights = image[0, 0].clamp(min=0.01) - 0.01
    h, w = weights.shape
    x, y = torch.arange(w) - (w - 1) / 2, torch.arange(h) - (h - 1) / 2
    over_x, over_y = (weights.sum(dim=axis) / weights.sum() for axis in (0, 1))
    mean_x, mean_y = (over_x * x).sum().item(), (over_y * y).sum().item()
    return (
        mean_x,
        mean_y,
        (over_x * (x - mean_x) ** 2).sum().sqrt().item(),
        (over_y * (y - mean_y) ** 2).sum().sqrt().item(),
    )


def test_the_inverse_map_is_that_of_the_matrices() -> None:
    random = np.random.RandomState(0)
    wider, taller = random.uniform(0.5, 2, (2, 5))
    angle, right, down = random.uniform(-3, 3, (3, 5))
    found = compute_inverse_map(*map(torch.from_numpy, (wider, taller, angle, right, down)))
    for i in range(5):
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        scale = np.diag([wider[i], taller[i], 1])
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        move = np.array([[1, 0, right[i]], [0, 1, down[i]], [0, 0, 1]])
        np.testing.assert_allclose(found[i], np.linalg.inv(move @ turn @ scale)[:2], atol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "mean", "growth"),
    [
        ({"shift": (1.0, 0.5)}, (6 + 0.125 * 48, 3), (1, 1)),
        ({"shift": (0.5, 0.0)}, (6, 3 - 0.125 * 48), (1, 1)),
        ({"zoom": 1.0}, (6 * 1.25, 3 * 1.25), (1.25, 1.25)),
        ({"zoom": 0.0}, (6 / 1.25, 3 / 1.25), (0.8, 0.8)),
        ({"stretch": 1.0}, (6 * 1.25, 3 / 1.25), (1.25, 0.8)),
        ({"rotate": 1.0}, (3 / math.sqrt(2), 9 / math.sqrt(2)), (1, 1)),
        ({"rotate": 0.0}, (9 / math.sqrt(2), -3 / math.sqrt(2)), (1, 1)),
    ],
)
def test_strongest_transforms_do_what_their_settings_say(
    numbers: dict[str, float], mean: tuple[float, float], growth: tuple[float, float]
) -> None:
    before = spot(48, 48, 6, 3)
    after = transform_geometry(before, ONE, chosen(**numbers), ALL)
    wide, high = moments(before)[2:]
    expected = (*mean, wide * growth[0], high * growth[1])
    assert moments(after) == pytest.approx(expected, rel=0.02, abs=0.01)


def test_only_the_chosen_kinds_act() -> None:
    image = spot(16, 16, 2, 1)
    config = Augment(augment_kinds="zoom")
    others = chosen(stretch=0.9, rotate=0.9, shift=(0.9, 0.9))
    assert torch.equal(transform_geometry(image, ONE, others, config), image)


def test_untouched_images_stay_bit_by_bit() -> None:
    images = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    draws = drawn(ALL, 40)
    touched = (draws.gates[:, 2:6] < 0.2).any(dim=1)
    found = transform_geometry(images, torch.tensor(0.2), draws, ALL)
    assert 10 < touched.sum() < 35
    assert torch.equal((found != images).flatten(1).any(dim=1), touched)


@pytest.mark.parametrize("numbers", [(1.0, 0.5), (0.5, 1.0)])
def test_shifts_are_parts_of_the_side_that_they_go_along(numbers: tuple[float, float]) -> None:
    """Of images that are not square: an eighth of the width to the right, of the height down."""
    after = transform_geometry(spot(32, 64, 4, 2), ONE, chosen(shift=numbers), ALL)
    right, down = (2 * number - 1 for number in numbers)
    assert moments(after)[:2] == pytest.approx((4 + right * 8, 2 + down * 4), rel=0.02, abs=0.01)
