"""Doubling, halving, and their fused convolutions: the same numbers and the same derivatives."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from progan import ops as resample
from progan.ops import conv3x3_down2x, down2x, up2x, up2x_conv3x3

Convolution = Callable[[Tensor, Tensor, Tensor], Tensor]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape)).requires_grad_()


def double_then_convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.conv2d(up2x(x), weight, bias, padding=1)


def convolve_then_halve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return down2x(F.conv2d(x, weight, bias, padding=1))


PAIRS = [
    pytest.param(up2x_conv3x3, double_then_convolve, id="up"),
    pytest.param(conv3x3_down2x, convolve_then_halve, id="down"),
]


def first_and_second_derivatives(
    convolve: Convolution, arguments: tuple[Tensor, ...], weights: Tensor
) -> list[Tensor]:
    """Of a curved function of the result, with respect to all arguments."""
    loss = (convolve(*arguments).tanh() * weights).sum()
    first = torch.autograd.grad(loss, arguments, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), arguments)
    return [loss, *first, *second]


def test_doubling_repeats_pixels() -> None:
    x = noise(2, 3, 4, 5).detach()
    np.testing.assert_array_equal(up2x(x), x.numpy().repeat(2, axis=2).repeat(2, axis=3))


def test_halving_averages_boxes() -> None:
    x = noise(2, 3, 4, 6).detach()
    boxes = x.numpy().reshape(2, 3, 2, 2, 3, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(down2x(x), boxes, rtol=0, atol=1e-15)
    np.testing.assert_allclose(down2x(up2x(x)), x, rtol=0, atol=1e-15)


@pytest.fixture(params=[0, 10**9], ids=["one kernel", "two operations"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of pixels says."""
    monkeypatch.setattr(resample, "MIN_FUSED_PIXELS", request.param)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("fused", "plain"), PAIRS)
@pytest.mark.parametrize(
    ("n", "inputs", "outputs", "size"), [(2, 3, 5, 4), (1, 1, 1, 2), (3, 4, 2, 8)]
)
def test_fused_is_unfused_with_all_its_derivatives(
    fused: Convolution, plain: Convolution, n: int, inputs: int, outputs: int, size: int
) -> None:
    arguments = (
        noise(n, inputs, size, size),
        noise(outputs, inputs, 3, 3, seed=1),
        noise(outputs, seed=2),
    )
    weights = noise(*plain(*arguments).shape, seed=3).detach()
    np.testing.assert_allclose(fused(*arguments).detach(), plain(*arguments).detach(), atol=1e-12)
    for ours, theirs in zip(
        first_and_second_derivatives(fused, arguments, weights),
        first_and_second_derivatives(plain, arguments, weights),
        strict=True,
    ):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize("function", [up2x_conv3x3, conv3x3_down2x])
def test_derivatives_are_those_of_finite_differences(function: Convolution) -> None:
    arguments = (noise(1, 2, 2, 2), noise(2, 2, 3, 3, seed=1), noise(2, seed=2))
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)


@pytest.mark.parametrize("function", [up2x, down2x])
def test_resampling_is_twice_differentiable(function: Callable[[Tensor], Tensor]) -> None:
    assert torch.autograd.gradcheck(function, noise(1, 2, 2, 4))
    assert torch.autograd.gradgradcheck(function, noise(1, 2, 2, 4))
