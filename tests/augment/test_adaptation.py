"""The control of the probability: its equations, its limits, and where it settles."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan.augment import compute_next_probability
from progan.config import Augment

SHARES = st.floats(0, 1)


def double(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


@given(SHARES, SHARES, SHARES, st.integers(1, 10**6))
def test_proportional_control(p: float, real: float, target: float, steps: int) -> None:
    config = Augment(augment_accuracy=target, augment_steps=steps)
    expected = min(max(p + (real - target) / steps, 0), 1)
    assert math.isclose(
        compute_next_probability(double(p), double(real), config).item(), expected, abs_tol=1e-12
    )


@given(SHARES, SHARES, SHARES, st.integers(1, 10**6))
def test_constant_control(p: float, real: float, target: float, steps: int) -> None:
    config = Augment(augment_accuracy=target, augment_steps=steps, augment_control="constant")
    expected = min(max(p + ((real > target) - (real < target)) / steps, 0), 1)
    assert math.isclose(
        compute_next_probability(double(p), double(real), config).item(), expected, abs_tol=1e-12
    )


@given(SHARES, SHARES, SHARES, SHARES, st.sampled_from(["proportional", "constant"]))
def test_more_accuracy_never_means_less_augmentation(
    p: float, one: float, other: float, target: float, control: str
) -> None:
    config = Augment(augment_accuracy=target, augment_steps=7, augment_control=control)
    low, high = (
        compute_next_probability(double(p), double(real), config) for real in sorted((one, other))
    )
    assert 0 <= low <= high <= 1


def test_a_whole_error_takes_as_many_steps_as_set() -> None:
    config = Augment(augment_accuracy=0, augment_steps=50)
    p, ones = torch.tensor(0.0), torch.tensor(1.0)
    history = []
    for _ in range(60):
        p = compute_next_probability(p, ones, config)
        history.append(p.item())
    assert history[48] < 0.99 < history[49] + 1e-4 and history[-1] == 1
    assert p.dim() == 0 and p.dtype == torch.float32


@pytest.mark.parametrize("control", ["proportional", "constant"])
def test_it_settles_where_the_accuracy_is_as_wanted(control: str) -> None:
    """A discriminator whose accuracy falls from 1 to 0.5 as p grows is right in 85 % at p = 0.3."""
    config = Augment(augment_control=control, augment_steps=20)
    p = torch.tensor(0.0)
    for _ in range(400):
        p = compute_next_probability(p, 1 - p / 2, config)
    assert abs(p.item() - 0.3) <= 1 / 20
