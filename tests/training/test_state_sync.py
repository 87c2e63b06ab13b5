"""Processes that share a batch against one that has it all; threads play the processes."""

from typing import Any

import pytest
import torch

from progan.batch_split import Shard
from progan.errors import UserError
from progan.runtime.distributed import SINGLE_PROCESS, Group
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.state import create_state
from progan.training.state_sync import broadcast_state, require_same_weights
from tests.builders import descend, tiny_run
from tests.training.equal_steps import (
    CPU,
    RUNS,
    Recorded,
    Threads,
    born,
    iterations,
    relative_error,
    run_of,
    tensors,
)

every_run = pytest.mark.parametrize("name", RUNS)


@every_run
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_gradients_of_two_processes_are_those_of_one(
    name: str, dtype: torch.dtype, error: float
) -> None:
    run = run_of(name)
    alone, state = Recorded(), born(run, dtype)
    iterations(run, state, 1, alone)

    def work(group: Group) -> Any:
        split = Recorded(group=group)
        own = born(run, dtype)
        statistics = iterations(run, own, 1, split, Shard(group.rank, group.size))
        return split.seen, statistics, tensors(own)

    (seen, first, weights), (_, second, others) = Threads(2).run(work)
    assert relative_error(seen[:1], alone.seen[:1]) < error
    for key, value in weights.items():
        assert torch.equal(value, others[key]), key  # the same bits in both processes
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@every_run
def test_after_some_iterations_all_is_the_same(name: str) -> None:
    run = run_of(name)
    alone = born(run)
    expected = iterations(run, alone, 3)

    def work(group: Group) -> Any:
        own = born(run)
        split = BatchSplit(MicroBatchSizes(run, pytest.fail), group)
        return iterations(run, own, 3, split, Shard(group.rank, group.size)), tensors(own)

    statistics, found = Threads(2).run(work)[0]
    for key, value in tensors(alone).items():
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-8, msg=key)
    for key, value in expected.items():
        torch.testing.assert_close(statistics[key], value, rtol=1e-6, atol=1e-8, msg=key)


def test_each_network_costs_one_message_a_step() -> None:
    run = run_of("progressive, wgan-gp, adaptive")

    def work(group: Any) -> int:
        iterations(run, born(run), 3, BatchSplit(group=group), Shard(group.rank, group.size))
        messages: int = group.messages
        return messages

    assert Threads(2).run(work) == [3 * 2, 3 * 2]


def test_processes_may_send_their_shares_in_micro_batches_of_different_sizes() -> None:
    run = tiny_run(
        **dict(
            resolution=8, latent_size=6, fmap_base=32, fmap_max=8, batch=24, stddev_group=4,
            label_size=3,
        ),
    )  # fmt: skip
    alone = Recorded()
    iterations(run, born(run), 1, alone)

    def work(group: Group) -> Any:
        sizes = MicroBatchSizes(run, pytest.fail)
        sizes.limit(3, (12, 4)[group.rank])
        split = Recorded(sizes, group)
        iterations(run, born(run), 1, split, Shard(group.rank, group.size))
        return split.seen

    assert relative_error(Threads(2).run(work)[0][:1], alone.seen[:1]) < 1e-12


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_everybody_begins_with_the_state_of_the_leader(optimizer: str) -> None:
    run = tiny_run(
        objective="began",
        kind="autoencoder",
        g_norm="none",
        augment="adaptive",
        optimizer=optimizer,
    )

    def work(group: Group) -> Any:
        state = create_state(
            tiny_run(
                objective="began", kind="autoencoder", g_norm="none", augment="adaptive",
                optimizer=optimizer, seed=group.rank,
            ),
            CPU,
        )  # fmt: skip
        if group.is_main:  # as after a resume: clocks, controllers, and some moments
            state.images_seen, state.tick, state.seconds = 640, 3, 1 / 3
            state.controllers["balance"].fill_(0.25)
            descend(
                state.g_optimizer,
                sum(weight.square().sum() for weight in [*state.generator.parameters()][::2]),
                0.1,
            )
            state.stat_sums.sums["loss"], state.stat_sums.counts["loss"] = torch.tensor(2.5), 2
        broadcast_state(state, group)
        return state

    first, *others = Threads(3).run(work)
    assert first.g_optimizer.state and run
    for other in others:
        ours, theirs = tensors(first), tensors(other)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
        assert (other.images_seen, other.tick, other.seconds) == (640, 3, 1 / 3)
        assert other.stat_sums == first.stat_sums
        for weight in other.g_optimizer.state:
            assert any(weight is each for each in other.generator.parameters())


def test_weights_that_come_apart_are_noticed() -> None:
    def work(group: Group, apart: float) -> str:
        state = create_state(tiny_run(), CPU)
        if group.rank == 1:
            with torch.no_grad():
                next(iter(state.discriminator.parameters())).flatten()[3] += apart
        try:
            require_same_weights(state, group)
        except UserError as error:
            return str(error)
        return ""

    assert Threads(2).run(lambda group: work(group, 0.0)) == ["", ""]
    for words in Threads(2).run(lambda group: work(group, 1e-3)):
        assert "weights of the 2 processes differ" in words


def test_one_process_alone_asks_nobody() -> None:
    state = create_state(tiny_run(), CPU)
    broadcast_state(state, SINGLE_PROCESS)
    require_same_weights(state, SINGLE_PROCESS)
    assert (
        SINGLE_PROCESS.is_main
        and SINGLE_PROCESS.any(True)
        and not SINGLE_PROCESS.any(False)
        and SINGLE_PROCESS.broadcast_text("a") == "a"
    )
