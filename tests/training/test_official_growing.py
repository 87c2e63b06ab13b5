"""Losses, gradients and a growing training against the official formulation, in float64.

`tests/reference/official_growing.py` works at the final resolution throughout, as the official
code does; progan works at the trained one, and divides gradient norms.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from progan import schedule
from progan.config import Run
from progan.losses import LossNoise
from progan.ops import blend_with_half_resolution
from progan.schedule import Stage
from progan.training.optim import enter_phase
from progan.training.state import TrainState
from progan.training.step import (
    DiscriminatorBatch,
    discriminator_loss,
    discriminator_step,
    generator_loss,
    generator_step,
)
from progan.training.step_inputs import (
    DiscriminatorInputs,
    GeneratorInputs,
    LevelAlpha,
    preprocess_reals,
)
from tests.builders import tiny_run
from tests.reference import official_growing as official
from tests.training.equal_steps import born

BATCH, GROUP = 8, 4
MAX_LEVEL = 5
SMALL: dict[str, Any] = dict(
    resolution=1 << MAX_LEVEL, latent_size=6, fmap_base=64, fmap_max=8, batch=BATCH,
    stddev_group=GROUP,
)  # fmt: skip
LODS = [3.0, 2.7, 2.0, 1.25, 1.0, 0.4, 0.0]
NETWORKS = {"g": "generator", "d": "discriminator", "g_ema": "average"}


def weights_of(state: TrainState, network: str) -> dict[str, Tensor]:
    return {
        name: weight.detach().clone().requires_grad_()
        for name, weight in state.networks[network].named_parameters()
    }


def one_hot(random: torch.Generator, label_size: int) -> Tensor:
    classes = torch.randint(max(label_size, 1), (BATCH,), generator=random)
    return torch.eye(max(label_size, 1), dtype=torch.float64)[classes][:, :label_size]


def place_of(lod: float) -> LevelAlpha:
    level, fraction = MAX_LEVEL - math.floor(lod), lod - math.floor(lod)
    return LevelAlpha(level, torch.tensor(1 - fraction, dtype=torch.float64) if fraction else None)


def enlarged(images: Tensor, lod: float) -> Tensor:
    return official.enlarge(images, math.floor(lod))


def assert_same_gradients(
    ours: Tensor, network: torch.nn.Module, theirs: Tensor, weights: dict[str, Tensor]
) -> None:
    """To 1e-9 of the largest element of each weight's gradient; layers not in use have none."""
    names, parameters = zip(*network.named_parameters(), strict=True)
    found = torch.autograd.grad(ours, parameters, allow_unused=True)
    expected = torch.autograd.grad(theirs, [weights[name] for name in names], allow_unused=True)
    used = 0
    for name, one, other in zip(names, found, expected, strict=True):
        assert (one is None) == (other is None), name
        if one is not None and other is not None:
            scale = max(other.abs().max().item(), 1e-12)
            np.testing.assert_allclose(one / scale, other / scale, rtol=0, atol=1e-9, err_msg=name)
            used += 1
    assert used >= 6


def example_step(
    lod: float, label_size: int, **settings: Any
) -> tuple[TrainState, Run, DiscriminatorBatch, LevelAlpha]:
    """A state, and what its discriminator sees at a lod: noise of the trained size."""
    run = tiny_run(**SMALL, label_size=label_size, **settings)
    state, position = born(run), place_of(lod)
    random = torch.Generator().manual_seed(round(100 * lod))
    size = 1 << position.level
    shape = (2, BATCH, 3, size, size)
    reals, fakes = torch.rand(shape, generator=random, dtype=torch.float64) * 2 - 1
    mix = torch.rand(BATCH, 1, 1, 1, generator=random, dtype=torch.float64)
    batch = DiscriminatorBatch(reals, fakes, one_hot(random, label_size), LossNoise(mix))
    return state, run, batch, position


@pytest.mark.parametrize("target", [1, 750])
@pytest.mark.parametrize("label_size", [0, 3])
@pytest.mark.parametrize("lod", LODS)
def test_the_discriminator_loss_is_that_at_the_final_resolution(
    lod: float, label_size: int, target: float
) -> None:
    state, run, shown, position = example_step(lod, label_size, gp_target=target)
    weights = weights_of(state, "discriminator")
    expected, norms = official.d_loss(
        weights, enlarged(shown.reals, lod), enlarged(shown.fakes, lod), shown.labels,
        shown.loss_noise.mix, max_level=MAX_LEVEL, lod=lod, group=GROUP, target=target,
    )  # fmt: skip
    loss, terms = discriminator_loss(state, run, position, "both", shown)
    assert math.isclose(loss.item(), expected.item(), rel_tol=1e-9)
    np.testing.assert_allclose(terms["gradient/norm"], norms, rtol=1e-9)
    assert_same_gradients(loss, state.discriminator, expected, weights)


@pytest.mark.parametrize("label_size", [0, 3])
@pytest.mark.parametrize("lod", LODS)
def test_the_generator_loss_is_that_at_the_final_resolution(lod: float, label_size: int) -> None:
    run = tiny_run(**SMALL, label_size=label_size)
    state, position = born(run), place_of(lod)
    random = torch.Generator().manual_seed(round(100 * lod))
    latents = torch.randn(BATCH, 6, generator=random, dtype=torch.float64)
    labels = one_hot(random, label_size)
    weights = weights_of(state, "generator")
    fakes = official.generate(weights, latents, labels, MAX_LEVEL, lod)
    expected = official.g_loss(
        weights_of(state, "discriminator"), fakes, labels, max_level=MAX_LEVEL, lod=lod, group=GROUP
    )
    loss, _ = generator_loss(state, run, position, GeneratorInputs(latents, labels))
    assert math.isclose(loss.item(), expected.item(), rel_tol=1e-9)
    assert_same_gradients(loss, state.generator, expected, weights)


@pytest.mark.parametrize(("lod", "factor"), [(3.0, 8), (2.7, 4), (1.0, 2), (0.4, 1), (0.0, 1)])
def test_at_the_trained_resolution_norms_are_larger_by_a_power_of_two(
    lod: float, factor: int
) -> None:
    norms = []
    for resolution in ("trained", "final"):
        state, run, shown, position = example_step(lod, 0, gp_resolution=resolution)
        norms.append(discriminator_loss(state, run, position, "both", shown)[1]["gradient/norm"])
    assert torch.equal(norms[0], norms[1] * factor)


@pytest.mark.parametrize("objective", ["dragan", "r1", "relativistic"])
def test_other_penalties_are_at_the_trained_resolution(objective: str) -> None:
    losses = []
    for resolution in ("trained", "final"):
        state, run, shown, position = example_step(
            2.0, 0, gp_resolution=resolution, objective=objective
        )
        loss_noise = shown.loss_noise._replace(pixels=torch.full_like(shown.reals, 0.5))
        shown = shown._replace(loss_noise=loss_noise)
        losses.append(discriminator_loss(state, run, position, "both", shown)[0])
    assert losses[0] == losses[1]


def our_place(stage: Stage) -> LevelAlpha:
    alpha = torch.tensor(stage.alpha, dtype=torch.float64) if stage.fading else None
    return LevelAlpha(stage.level, alpha)


def our_reals(images: Tensor, position: LevelAlpha) -> Tensor:
    """uint8 [N, H, W, C] -> what `process_reals` gives, with float64 instead of float32."""
    x = images.permute(0, 3, 1, 2).double() / 127.5 - 1
    assert_close(x, preprocess_reals(images), 1e-6)
    return x if position.alpha is None else blend_with_half_resolution(x, position.alpha)


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float, name: str = "") -> None:
    np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=0, atol=tolerance, err_msg=name)


def set_tensorflow_epsilon(state: TrainState, steps: int) -> None:
    """Let torch's Adam add what TensorFlow's adds in its step of that number, from 1 on."""
    for optimizer in (state.d_optimizer, state.g_optimizer):
        optimizer.param_groups[0]["eps"] = 1e-8 / math.sqrt(1 - 0.99**steps)


@pytest.mark.parametrize(("label_size", "target"), [(0, 1.0), (2, 750.0)])
def test_a_training_that_grows(label_size: int, target: float) -> None:
    """From 4x4 to 32x32 with three fades and six resets of Adam; every weight after every step."""
    growth = dict(training_kimg=0.016, transition_kimg=0.024, minibatch_repeats=1, total_kimg=0.2)
    run = tiny_run(**SMALL, **growth, label_size=label_size, gp_target=target)
    state = born(run)
    theirs = official.Training(
        **{name: weights_of(state, network) for name, network in NETWORKS.items()},
        max_level=MAX_LEVEL,
        group=GROUP,
        target=target,
    )
    random, levels = torch.Generator().manual_seed(1), set()
    for start, stage in schedule.iterate_rounds(run.growth, run.network, 0):
        lod = official.lod_at(start, 0.016, 0.024, MAX_LEVEL - 2)
        theirs.set_lod(lod)
        enter_phase(state, stage, run)
        size = 1 << MAX_LEVEL - math.floor(lod)
        images = torch.randint(256, (BATCH, size, size, 3), generator=random, dtype=torch.uint8)
        latents = torch.randn(2, BATCH, 6, generator=random, dtype=torch.float64)
        mix = torch.rand(BATCH, 1, 1, 1, generator=random, dtype=torch.float64)
        labels, g_labels = one_hot(random, label_size), one_hot(random, label_size)
        set_tensorflow_epsilon(state, theirs.d_adam.steps + 1)
        position = our_place(stage)
        levels.add((position.level, position.alpha is not None))
        d_ours = discriminator_step(
            state,
            run,
            position,
            stage.d_lr,
            DiscriminatorInputs(our_reals(images, position), labels, latents[0], LossNoise(mix)),
        )
        d_theirs = theirs.train_d(images, labels, latents[0], mix, 0.002)
        g_ours = generator_step(
            state, run, position, stage.g_lr, GeneratorInputs(latents[1], g_labels)
        )
        g_theirs = theirs.train_g(g_labels, latents[1], 0.002)
        assert [
            d_ours["loss/critic"].item(),
            d_ours["gradient/norm"].item(),
            g_ours["loss/generator"].item(),
        ] == pytest.approx([*d_theirs, g_theirs], rel=1e-9)
        for name, network in NETWORKS.items():
            for weight, ours in state.networks[network].named_parameters():
                assert_close(ours, getattr(theirs, name)[weight], 1e-9, f"{network}.{weight}")
    assert levels == {
        (2, False),
        (3, True),
        (3, False),
        (4, True),
        (4, False),
        (5, True),
        (5, False),
    }
    assert theirs.resets == 6
