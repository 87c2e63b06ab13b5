"""--penalty-interval k: the gradient penalty in every k-th step, with k times its weight."""

from typing import Any

import pytest
import torch
from torch import Tensor

from progan import schedule
from progan.config import LossConfig, Run
from progan.training.loop import train_round
from progan.training.optim import compute_lazy_correction, trainable_parameters
from progan.training.state import create_state
from progan.training.step import DiscriminatorBatch, discriminator_loss
from progan.training.step_inputs import LevelAlpha, is_penalty_step
from progan.training.step_stats import StepStats
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, CPU, batch_of, born, iterations, tensors
from tests.training.test_step import shown

OBJECTIVES = ("wgan-gp", "dragan", "r1", "relativistic")


def run_with(interval: int, **others: Any) -> Run:
    return tiny_run(**(COMMON | {"penalty_interval": interval} | others))


def gradients(run: Run, batch: DiscriminatorBatch) -> tuple[list[Tensor], set[str]]:
    state = born(run)
    loss, terms = discriminator_loss(state, run, LevelAlpha(3, None), "both", batch)
    weights = trainable_parameters(state.d_optimizer)
    found = torch.autograd.grad(loss, weights, allow_unused=True)
    return [each for each in found if each is not None], set(terms)


@pytest.mark.parametrize("objective", [each for each in OBJECTIVES if each != "dragan"])
def test_steps_in_turns_have_the_gradient_of_the_full_loss_on_average(objective: str) -> None:
    """(k - 1) steps without the penalty and one with k times of it: k steps with it."""
    every, fourth = run_with(1, objective=objective), run_with(4, objective=objective)
    batch = shown(every, 8)
    full, names = gradients(every, batch)
    lazy, lazy_names = gradients(fourth, batch)
    without, fewer_names = gradients(fourth, batch._replace(with_penalty=False))
    assert names == lazy_names and names - fewer_names == {"gradient/norm", "loss/penalty"}
    assert not all(torch.equal(a, b) for a, b in zip(full, without, strict=True))
    for one, other, expected in zip(lazy, without, full, strict=True):
        torch.testing.assert_close(one + 3 * other, 4 * expected, rtol=1e-9, atol=1e-12)


def test_every_kth_step_has_it_whatever_the_batch_of_the_level() -> None:
    run = run_with(4)
    positions, images_seen = [], 0
    for batch in (128,) * 8 + (64,) * 8 + (4,) * 8:
        positions.append(is_penalty_step(run, batch, images_seen))
        images_seen += batch
    assert positions[:8] == [True, False, False, False] * 2
    # After a change of the batch the count begins elsewhere, but the distance is kept.
    for part in (positions[8:16], positions[16:]):
        due = [number for number, each in enumerate(part) if each]
        assert len(due) == 2 and due[1] - due[0] == 4


def test_the_curves_of_the_penalty_are_logged_when_it_is_computed() -> None:
    run = run_with(2, objective="r1")
    state = born(run)
    first = iterations(run, state, 1)
    second = iterations(run, state, 1)
    assert "loss/penalty" in first and "loss/penalty" not in second


def test_adam_is_corrected_as_in_the_paper() -> None:
    """c = k / (k + 1): the rate times c, and the decay rates to the power of c, of D only."""
    run = run_with(4, beta1=0.5, beta2=0.99, resolution=8, minibatch_repeats=1)
    state = create_state(run, CPU)
    (d_group,), (g_group,) = state.d_optimizer.param_groups, state.g_optimizer.param_groups
    assert d_group["betas"] == pytest.approx((0.5**0.8, 0.99**0.8))
    assert g_group["betas"] == (0.5, 0.99)
    corrections = [
        compute_lazy_correction(LossConfig(penalty_interval=k, objective=objective))
        for k, objective in ((4, "r1"), (1, "r1"), (4, "lsgan"))
    ]
    assert corrections == [0.8, 1.0, 1.0]
    batches = iter([batch_of(run, 0)])
    stage = schedule.stage_at(run.growth, run.network, 10**9)
    train_round(run, state, stage, batches, StepStats(state.stat_sums))
    assert d_group["lr"] == pytest.approx(0.8 * run.growth.d_lr)
    assert g_group["lr"] == pytest.approx(run.growth.g_lr)


def test_an_interval_of_one_changes_nothing() -> None:
    """Bit for bit the states of a run whose settings do not have the option."""
    state, expected = born(run_with(1)), born(tiny_run(**COMMON))
    iterations(run_with(1), state, 3)
    iterations(tiny_run(**COMMON), expected, 3)
    for name, value in tensors(expected).items():
        assert torch.equal(tensors(state)[name], value), name
    assert state.d_optimizer.param_groups[0]["betas"] == (0.0, 0.99)


def test_objectives_without_a_penalty_have_one_kind_of_steps() -> None:
    """Else each kind would be compiled, captured and measured for the same work."""
    run = run_with(4, objective="lsgan")
    assert all(is_penalty_step(run, 8, 8 * step) for step in range(8))
