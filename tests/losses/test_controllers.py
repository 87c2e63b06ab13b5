"""Numbers that objectives move themselves: began's balance, and the noise of appendix B."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from progan.config import LossConfig
from progan.losses import terms as loss_terms
from progan.losses.adversarial import (
    adaptive_noise_strength,
    began_convergence,
    update_began_k,
    update_confidence,
)
from tests.losses.one_pixel import column, of_one_pixel
from tests.losses.summarized import discriminator_loss

ENERGIES = st.floats(0, 1e3)
UNIT = st.floats(0, 1)


def tensor(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (LossConfig(), set()),
        (LossConfig(objective="began"), {"balance"}),
        (LossConfig(objective="lsgan", adaptive_noise=True), {"confidence"}),
        (LossConfig(objective="began", adaptive_noise=True), {"balance", "confidence"}),
    ],
)
def test_an_objective_has_the_dials_that_it_needs_and_they_start_at_zero(
    config: LossConfig, names: set[str]
) -> None:
    found = loss_terms.initial_loss_controllers(config)
    assert found == dict.fromkeys(names, 0.0)
    turned = loss_terms.next_loss_controllers(
        config, {name: tensor(0.5) for name in names}, tensor(-1.0), tensor(-2.0)
    )
    assert set(turned) == names and all(value.shape == () for value in turned.values())


@given(k=UNIT, gamma=UNIT, rate=UNIT, real=ENERGIES, fake=ENERGIES)
def test_the_balance_stays_within_0_and_1_and_moves_the_right_way(
    k: float, gamma: float, rate: float, real: float, fake: float
) -> None:
    config = LossConfig(objective="began", diversity=gamma, balance_rate=rate)
    updated = update_began_k(tensor(k), config, tensor(real), tensor(fake)).item()
    assert 0 <= updated <= 1
    wanted = k + rate * (gamma * real - fake)
    assert math.isclose(updated, min(max(wanted, 0), 1), rel_tol=1e-12, abs_tol=1e-12)
    if fake > gamma * real:  # fakes are too bad: the critic looks at them less
        assert updated <= k
    if fake < gamma * real:
        assert updated >= k


@given(k=UNIT, real=ENERGIES, gamma=st.sampled_from([0.25, 0.5, 1.0]))
def test_the_balance_rests_where_energies_have_the_ratio_gamma(
    k: float, real: float, gamma: float
) -> None:
    config = LossConfig(objective="began", diversity=gamma)
    still = update_began_k(tensor(k), config, tensor(real), tensor(gamma * real))
    assert still.item() == k


@given(real=ENERGIES, fake=ENERGIES, gamma=UNIT)
def test_convergence_is_best_where_reals_are_known_and_fakes_in_balance(
    real: float, fake: float, gamma: float
) -> None:
    config = LossConfig(objective="began", diversity=gamma)
    found = began_convergence(config, tensor(real), tensor(fake)).item()
    assert math.isclose(found, real + abs(gamma * real - fake), rel_tol=1e-12)
    assert found >= began_convergence(config, tensor(real), tensor(gamma * real)).item() >= 0


def test_convergence_is_reported_with_the_loss() -> None:
    """Of mean energies 3 and 2: M = 3 + |0.5 * 3 - 2|, section 3.4.1."""
    _, parts = discriminator_loss(
        of_one_pixel, LossConfig(objective="began"), noise=None, reals=column([-1.0, -5.0]),
        fakes=column([0.0, -4.0]), labels=torch.zeros(2, 0), controllers={"balance": tensor(0.3)},
    )  # fmt: skip
    assert math.isclose(parts["loss/convergence"], 3.5, rel_tol=1e-12)


def test_the_balance_is_turned_by_energies_that_are_minus_the_scores() -> None:
    config = LossConfig(objective="began", diversity=0.5, balance_rate=0.1)
    turned = loss_terms.next_loss_controllers(
        config, {"balance": tensor(0.2)}, tensor(-6.0), tensor(-2.0)
    )
    assert math.isclose(turned["balance"], 0.2 + 0.1 * (3 - 2), rel_tol=1e-12)


@given(average=UNIT, score=st.floats(-10, 10))
def test_the_confidence_follows_what_the_critic_says_of_fakes(average: float, score: float) -> None:
    """d^ <- 0.1 d + 0.9 d^, d being 1 where a fake is known for sure, and 0 where it is not."""
    d = min(max(1 - score, 0), 1)
    found = update_confidence(tensor(average), tensor(score)).item()
    assert math.isclose(found, 0.1 * d + 0.9 * average, rel_tol=1e-12, abs_tol=1e-15)
    assert 0 <= found <= 1 + 1e-12


@pytest.mark.parametrize(
    ("average", "strength"),
    [(0.0, 0), (0.3, 0), (0.5, 0), (0.6, 0.002), (0.75, 0.0125), (1.0, 0.05)],
)
def test_noise_begins_above_one_half(average: float, strength: float) -> None:
    """0.2 max(0, d^ - 0.5)^2."""
    assert math.isclose(adaptive_noise_strength(tensor(average)), strength, rel_tol=1e-9, abs_tol=0)


def test_a_critic_that_is_always_sure_is_disturbed_more_and_more() -> None:
    config, found = LossConfig(objective="lsgan", adaptive_noise=True), []
    state = {"confidence": tensor(0.0)}
    for _ in range(200):
        state = loss_terms.next_loss_controllers(config, state, tensor(1.0), tensor(0.0))
        found.append(adaptive_noise_strength(state["confidence"]).item())
    assert np.count_nonzero(found[:6]) == 0 < found[6]  # 1 - 0.9^n is above 0.5 from n = 7 on
    assert (np.diff(found[6:]) >= 0).all() and math.isclose(found[-1], 0.05, rel_tol=1e-6)
