"""The crossfade between two levels (figure 2)."""

import numpy as np
import pytest
import torch
from torch import Tensor

from progan.ops import blend_with_half_resolution, fade


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape))


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
def test_it_is_a_weighted_mean(alpha: float) -> None:
    old, new = noise(2, 3), noise(2, 3, seed=1)
    expected = (1 - alpha) * old.numpy() + alpha * new.numpy()
    np.testing.assert_allclose(fade(old, new, number(alpha)), expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("alpha", [0.0, 0.25, 1.0])
def test_images_become_blocks_as_alpha_goes_to_zero(alpha: float) -> None:
    x = noise(2, 3, 4, 4)
    means = x.numpy().reshape(2, 3, 2, 2, 2, 2).mean(axis=(3, 5))
    blocks = means.repeat(2, axis=2).repeat(2, axis=3)
    expected = alpha * x.numpy() + (1 - alpha) * blocks
    np.testing.assert_allclose(
        blend_with_half_resolution(x, number(alpha)), expected, rtol=0, atol=1e-14
    )


def test_it_is_twice_differentiable_in_all_of_its_arguments() -> None:
    arguments = (
        noise(2, 2).requires_grad_(),
        noise(2, 2, seed=1).requires_grad_(),
        number(0.3).requires_grad_(),
    )
    assert torch.autograd.gradcheck(fade, arguments)
    assert torch.autograd.gradgradcheck(fade, arguments)
