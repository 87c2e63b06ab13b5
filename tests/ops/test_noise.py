"""The noise of appendix B: one factor for each map of each image."""

import math

import pytest
import torch

from progan.ops import apply_multiplicative_noise


def disturbed(x: torch.Tensor, strength: float) -> torch.Tensor:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return apply_multiplicative_noise(x, torch.tensor(strength, dtype=x.dtype))


def test_without_a_strength_nothing_happens_and_nothing_is_drawn() -> None:
    x, state = torch.ones(2, 3, 4, 4), torch.random.get_rng_state()
    assert apply_multiplicative_noise(x, None) is x
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_strength_of_zero_leaves_all_as_it_is() -> None:
    x = torch.arange(24.0).reshape(2, 3, 2, 2)
    assert torch.equal(disturbed(x, 0.0), x)


def test_each_map_of_each_image_has_one_factor_of_its_own() -> None:
    x = torch.arange(1.0, 97).double().reshape(2, 3, 4, 4)
    factors = disturbed(x, 0.1) / x
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(x), rtol=1e-12, atol=0)
    assert len(factors[:, :, 0, 0].unique()) == 6


@pytest.mark.parametrize(("maps", "strength"), [(1, 0.05), (16, 0.05), (64, 0.002)])
def test_factors_are_normal_around_1_with_the_root_of_the_maps(maps: int, strength: float) -> None:
    n = 64_000 // maps
    factors = disturbed(torch.ones(n, maps, 1, 1, dtype=torch.float64), strength).flatten()
    z = (factors - 1) / (strength * math.sqrt(maps))
    deviations = 5 / math.sqrt(n * maps)  # 5 standard errors of the mean
    assert abs(z.mean()) < deviations
    assert abs(z.var() - 1) < math.sqrt(2) * deviations
    assert abs((z**4).mean() - 3) < math.sqrt(96) * deviations


def test_its_gradient_is_the_factor() -> None:
    x = torch.ones(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    out = disturbed(x, 0.3)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())
