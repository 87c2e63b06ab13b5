"""Penalties on gradients: against hand-made critics, autograd and finite differences."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from progan import networks as nets
from progan.config import LossConfig, Network
from progan.losses.penalties import GradientScale, gradient_norms, two_sided_penalty
from progan.training.state import initialize


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape))


def test_a_linear_critic_has_its_own_steepness_everywhere() -> None:
    norms = gradient_norms(lambda x: x.flatten(1) @ torch.full((12,), 0.5), torch.rand(4, 3, 2, 2))
    np.testing.assert_allclose(norms, math.sqrt(12 * 0.25), rtol=1e-6)


def test_a_square_critic_is_as_steep_as_its_image_is_long() -> None:
    images = noise(5, 3, 2, 2)
    norms = gradient_norms(lambda x: x.square().flatten(1).sum(dim=1) / 2, images)
    np.testing.assert_allclose(norms, np.linalg.norm(images.flatten(1), axis=1), rtol=1e-12)


def test_scores_that_depend_on_the_whole_batch_count_whole() -> None:
    """With scores_i = x_i . sum_j x_j, the gradient of their sum is 2 sum_j x_j for each image."""
    images = noise(3, 1, 2, 2)
    norms = gradient_norms(lambda x: x.flatten(1) @ x.flatten(1).sum(dim=0), images)
    expected = 2 * np.linalg.norm(images.flatten(1).sum(dim=0))
    np.testing.assert_allclose(norms, [expected] * 3, rtol=1e-12)


def test_the_penalty_by_hand() -> None:
    norms = torch.tensor([0.0, 1.0, 3.0])
    assert two_sided_penalty(norms, LossConfig()).tolist() == [10, 0, 40]
    expected = [10, 10 * (749 / 750) ** 2, 10 * (747 / 750) ** 2]
    np.testing.assert_allclose(
        two_sided_penalty(norms, LossConfig(gp_target=750)), expected, rtol=1e-6
    )


def test_a_scale_keeps_slopes_that_float16_would_lose() -> None:
    def score(x: Tensor) -> Tensor:
        return (x.half() * 2**-14).float().flatten(1).sum(dim=1) * 2**-12

    images = torch.rand(2, 1, 2, 2)
    assert gradient_norms(score, images).tolist() == [0, 0]
    scale = GradientScale(torch.tensor(2.0**10))
    assert gradient_norms(score, images, scale).tolist() == [2**-25, 2**-25]


@pytest.mark.parametrize("alpha", [None, torch.tensor(0.4, dtype=torch.float64)])
def test_weights_get_the_gradients_of_autograd(alpha: Tensor | None) -> None:
    network = nets.build_discriminator(
        Network(resolution=8, fmap_base=32, fmap_max=8, stddev_group=4)
    )
    initialize(network, 0, "critic")
    network.double()
    images = noise(8, 3, 8, 8)
    weights = list(network.parameters())

    norms = gradient_norms(lambda x: network(x, 3, alpha)[0], images)
    penalty = two_sided_penalty(norms, LossConfig()).mean()
    found = torch.autograd.grad(penalty, weights, allow_unused=True)

    seen = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(network(seen, 3, alpha)[0].sum(), seen, create_graph=True)
    reference = (10 * (slope.pow(2).sum(dim=(1, 2, 3)).pow(0.5) - 1) ** 2).mean()
    expected = torch.autograd.grad(reference, weights, allow_unused=True)

    assert math.isclose(penalty.item(), reference.item(), rel_tol=1e-12)
    used = [pair for pair in zip(found, expected, strict=True) if pair[1] is not None]
    assert len(used) > 8
    for ours, theirs in used:
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_derivatives_are_those_of_finite_differences() -> None:
    images = noise(2, 1, 2, 2)

    def norms(hidden: Tensor, out: Tensor) -> Tensor:
        return gradient_norms(lambda x: (x.flatten(1) @ hidden).tanh() @ out, images)

    weights = (noise(4, 3, seed=1).requires_grad_(), noise(3, seed=2).requires_grad_())
    assert torch.autograd.gradcheck(norms, weights)
