"""Resampling: exact where it can be, and elsewhere what NumPy computes step by step."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from progan.augment import DOUBLING, HALVING, resample_at_inverse

Array = npt.NDArray[np.float64]


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, shape))


def affine(a: float, b: float, c: float, d: float, e: float, f: float) -> Tensor:
    return torch.tensor([[a, b, c], [d, e, f]]).double()[None]


def rotation(angle: float, scale: float = 1.0) -> Tensor:
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    return affine(cos, sin, 0, -sin, cos, 0)


def taps(half: tuple[float, ...]) -> Array:
    return np.array([*half[:0:-1], *half])


def convolved(x: Array, kernel: Array, axis: int) -> Array:
    return np.apply_along_axis(lambda line: np.convolve(line, kernel, "same"), axis, x)


def reference(image: Array, inverse: Array) -> Array:
    """One channel [H, W], the slow way: mirrored far, zeros between the pixels, all kernels whole.

    All places of the doubled image are weighted for each sample.
    """
    (h, w), far = image.shape, 16
    padded = np.pad(image, far, mode="reflect")
    double = np.zeros((2 * padded.shape[0] - 1, 2 * padded.shape[1] - 1))
    double[::2, ::2] = padded
    for axis in (0, 1):
        double = convolved(double, 2 * taps(DOUBLING), axis)
    places = [np.arange(size) / 2 - far for size in double.shape]  # in pixels of the image

    margin = 8
    y = np.arange(-margin, 2 * h - 1 + margin) / 2 - (h - 1) / 2
    x = np.arange(-margin, 2 * w - 1 + margin) / 2 - (w - 1) / 2
    sampled = np.zeros((len(y), len(x)))
    for i, j in np.ndindex(sampled.shape):
        from_x, from_y = inverse @ [x[j], y[i], 1] + [(w - 1) / 2, (h - 1) / 2]
        weights = [
            np.maximum(0, 1 - np.abs(line - start) * 2)  # bilinear
            for line, start in zip(places, (from_y, from_x), strict=True)
        ]
        sampled[i, j] = weights[0] @ double @ weights[1]
    for axis in (0, 1):
        sampled = convolved(sampled, taps(HALVING), axis)
    return sampled[margin:-margin:2, margin:-margin:2]


def test_the_two_filters_undo_each_other() -> None:
    product = np.convolve(2 * taps(DOUBLING), taps(HALVING))
    np.testing.assert_allclose(product[1::2], [0, 0, 0, 1, 0, 0, 0], rtol=0, atol=1e-14)
    assert math.isclose(taps(DOUBLING).sum(), 1) and math.isclose(taps(HALVING).sum(), 1)


@pytest.mark.parametrize(("h", "w"), [(3, 3), (4, 4), (4, 9), (16, 8)])
def test_nothing_to_do_changes_nothing(h: int, w: int) -> None:
    images = noise(2, 3, h, w)
    identity = rotation(0).expand(2, 2, 3)
    np.testing.assert_allclose(resample_at_inverse(images, identity), images, rtol=0, atol=1e-14)
    found = resample_at_inverse(images.float(), identity.float())
    np.testing.assert_allclose(found, images, rtol=0, atol=4e-6)


@pytest.mark.parametrize("quarter", [1, 2, 3])
@pytest.mark.parametrize("size", [4, 5, 16])
def test_quarter_turns_are_exact(size: int, quarter: int) -> None:
    images = noise(1, 3, size, size)
    found = resample_at_inverse(images, rotation(quarter * math.pi / 2))
    np.testing.assert_allclose(found, np.rot90(images, -quarter, (2, 3)), rtol=0, atol=1e-12)


def test_pixels_stay_square_where_images_are_not() -> None:
    images = noise(1, 2, 8, 16)
    found = resample_at_inverse(images, rotation(math.pi / 2))[..., 4:12]
    np.testing.assert_allclose(found, np.rot90(images[..., 4:12], -1, (2, 3)), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (0, -2), (3, 5), (-9, 14)])
def test_whole_shifts_are_exact(right: int, down: int) -> None:
    images = noise(1, 1, 8, 6)
    padded = np.pad(images, [(0, 0), (0, 0), (20, 20), (20, 20)], mode="reflect")
    found = resample_at_inverse(images, affine(1, 0, -right, 0, 1, -down))
    expected = padded[:, :, 20 - down : 28 - down, 20 - right : 26 - right]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "inverse",
    [
        rotation(0.3),
        rotation(-2, 1.2),
        affine(1, 0, 0.3, 0, 1, -0.7),
        affine(0.8, 0.3, 1.2, -0.1, 1.3, -0.4),
    ],
)
@pytest.mark.parametrize(("h", "w"), [(6, 6), (5, 8)])
def test_any_map_is_that_of_the_slow_reference(inverse: Tensor, h: int, w: int) -> None:
    images = noise(1, 1, h, w)
    expected = reference(images[0, 0].numpy(), inverse[0].numpy())
    np.testing.assert_allclose(
        resample_at_inverse(images, inverse)[0, 0], expected, rtol=0, atol=1e-12
    )


def blob(h: int, w: int, x: float, y: float, deviation: float = 2.0) -> Tensor:
    rows = (torch.arange(h) - (h - 1) / 2 - y)[:, None].double()
    columns = (torch.arange(w) - (w - 1) / 2 - x)[None].double()
    return (-(rows**2 + columns**2) / (2 * deviation**2)).exp()[None, None]


@pytest.mark.parametrize("angle", [0.2, 1.0, -2.5])
@pytest.mark.parametrize(("h", "w"), [(32, 32), (24, 40)])
def test_a_round_spot_stays_round_and_comes_where_it_should(angle: float, h: int, w: int) -> None:
    cos, sin = math.cos(angle), math.sin(angle)
    expected = blob(h, w, 5 * cos - 2 * sin, 5 * sin + 2 * cos)  # clockwise, as y points down
    found = resample_at_inverse(blob(h, w, 5, 2), rotation(angle))
    middle = (..., slice(h // 2 - 10, h // 2 + 10), slice(w // 2 - 10, w // 2 + 10))
    np.testing.assert_allclose(found[middle], expected[middle], rtol=0, atol=0.015)


def test_zooming_out_does_not_alias() -> None:
    """Stripes that are finer than the smaller picture can show fade to a third or less."""
    stripes = torch.cos(2 * math.pi * 0.45 * torch.arange(64).double()).expand(1, 1, 64, 64)
    found = resample_at_inverse(stripes, rotation(0, 1.4))[..., 16:48, 16:48]
    assert found.square().mean().sqrt() < 0.35 * stripes.square().mean().sqrt()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: resample_at_inverse(x, rotation(0.4)),
        lambda x: resample_at_inverse(x, rotation(1.0, 0.8)).pow(3),
    ],
)
def test_derivatives_are_those_of_finite_differences(function: Callable[[Tensor], Tensor]) -> None:
    images = noise(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(function, images)
    assert torch.autograd.gradgradcheck(function, images)
