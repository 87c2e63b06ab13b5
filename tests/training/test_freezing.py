"""FreezeD: what is frozen never moves, costs no gradient, and thaws where a run is resumed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from progan.config import Run
from progan.data.loader import read_batches
from progan.data.reader import Dataset
from progan.networks import NETWORKS
from progan.networks.inspection import tensor_levels
from progan.schedule import iterate_rounds, stage_at
from progan.training.checkpoint import load_state, save_state_and_delete_oldest
from progan.training.loop import train_round
from progan.training.memory import estimate_step_bytes
from progan.training.optim import build_optimizer, clip_weights
from progan.training.state import TrainState, create_state
from progan.training.step_stats import StepStats
from tests.builders import descend, noise_dataset, tiny_run

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = dict(
    batch=8, minibatch_repeats=1, total_kimg=0.024, fmap_base=32, code_size=6, initial_resolution=16
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return noise_dataset(tmp_path_factory.mktemp("freezing") / "noise")


def train(state: TrainState, run: Run, dataset: Dataset) -> None:
    batches = read_batches(dataset, run, state.images_seen)
    for _, stage in iterate_rounds(run.growth, run.network, state.images_seen):
        train_round(run, state, stage, batches, StepStats())


def moved(state: TrainState, before: dict[str, torch.Tensor]) -> set[str]:
    return {
        name
        for name, weight in state.discriminator.named_parameters()
        if not torch.equal(weight, before[name])
    }


def weights_of(state: TrainState) -> dict[str, torch.Tensor]:
    return {
        name: weight.detach().clone() for name, weight in state.discriminator.named_parameters()
    }


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("freeze_d", [1, 2])
def test_frozen_layers_of_every_kind_do_not_move_and_the_others_do(
    kind: str, freeze_d: int, dataset: Dataset
) -> None:
    run = tiny_run(**(SETTINGS | dict(kind=kind, freeze_d=freeze_d, d_norm="layer")))
    state = create_state(run, CPU)
    before, at_level = weights_of(state), tensor_levels(state.discriminator)
    train(state, run, dataset)
    still = {
        name for name in before if at_level[name] > 4 - freeze_d and not name.startswith("decoder")
    }
    unused = {name for name in before if "from_rgb" in name and at_level[name] < 4}
    assert len(still) >= 2 * freeze_d
    assert moved(state, before) == set(before) - still - unused
    frozen = {
        name for name, weight in state.discriminator.named_parameters() if not weight.requires_grad
    }
    assert frozen == still
    assert all(
        weight.grad is None
        for name, weight in state.discriminator.named_parameters()
        if name in frozen
    )


def test_no_gradient_of_a_frozen_weight_is_computed(dataset: Dataset) -> None:
    """The graph of a loss ends in the weights that learn, and in no other."""
    run = tiny_run(**(SETTINGS | dict(freeze_d=2)))
    state = create_state(run, CPU)
    loss = state.discriminator(torch.randn(4, 3, 16, 16), 4).scores.sum()
    ends, waiting = set(), [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        ends |= {node.variable} if hasattr(node, "variable") else set()
        waiting += [further for further, _ in node.next_functions if further is not None]
    assert ends == {weight for weight in state.discriminator.blocks["4x4"].parameters()}


def test_a_state_can_thaw_and_freeze_where_it_is_resumed(dataset: Dataset, tmp_path: Path) -> None:
    frozen, free = (tiny_run(**(SETTINGS | dict(freeze_d=freeze_d))) for freeze_d in (1, 0))
    state = create_state(frozen, CPU)
    train(state, frozen, dataset)
    assert not any(
        "blocks.16x16" in name and weight in state.d_optimizer.state
        for name, weight in state.discriminator.named_parameters()
    )
    path = save_state_and_delete_oldest(tmp_path, state, frozen)
    thawed = load_state(path, tiny_run(**(SETTINGS | dict(total_kimg=0.048))), CPU)
    before = weights_of(thawed)
    train(thawed, tiny_run(**(SETTINGS | dict(total_kimg=0.048))), dataset)
    assert {"blocks.16x16.conv.weight", "from_rgb.16x16.weight"} <= moved(thawed, before)
    again = load_state(save_state_and_delete_oldest(tmp_path, thawed, free), frozen, CPU)
    assert not again.discriminator.from_rgb["16x16"].weight.requires_grad


def test_frozen_weights_are_not_clipped() -> None:
    state = create_state(tiny_run(freeze_d=1), CPU)
    before = weights_of(state)
    clip_weights(state.discriminator, 0.01)
    assert not any(
        name.startswith(("from_rgb.16x16", "blocks.16x16")) for name in moved(state, before)
    )
    assert state.discriminator.blocks["8x8"].conv.weight.abs().max() <= 0.01


def test_update_skips_weights_that_need_no_gradient() -> None:
    learns, rests = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    adam = build_optimizer([rests, learns], tiny_run().optim)
    rests.requires_grad_(False)
    norm = descend(adam, (rests * learns).sum(), rate=0.1)
    assert torch.equal(rests, torch.ones(2)) and rests not in adam.state
    torch.testing.assert_close(learns.detach(), torch.full((2,), 0.9))
    torch.testing.assert_close(norm, torch.tensor(2**0.5))


def test_the_estimate_of_the_memory_knows_what_is_frozen() -> None:
    free, frozen = (tiny_run(batch=64, freeze_d=freeze_d) for freeze_d in (0, 2))
    stage = stage_at(free.growth, free.network, 7000)
    moments = (
        2
        * 4
        * sum(
            weight.numel()
            for weight in create_state(frozen, CPU).discriminator.parameters()
            if not weight.requires_grad
        )
    )
    assert estimate_step_bytes(frozen, stage) <= estimate_step_bytes(free, stage) - moments
