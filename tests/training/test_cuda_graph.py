"""Steps that are captured and replayed, against steps that are taken one by one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from progan.config import Run, override
from progan.training import step as training_steps
from progan.training.checkpoint import copy_to_cpu
from progan.training.cuda_graph import (
    WARM_UP_STEPS,
    CapturedGraph,
    cuda_graph_capture,
    cuda_graph_steps,
)
from progan.training.gradients import FULL_BATCH, BatchSplit, MicroBatchSizes
from progan.training.guard import restore
from progan.training.optim import reset_optimizer
from progan.training.step import EAGER_STEPS, Steps, make_steps
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, CPU, RUNS, born, iterations, run_of, tensors
from tests.training.tape import tapes

COUNT = 2 * (WARM_UP_STEPS + 2)  # enough for two kinds of steps in turns, with lazy penalties


def captured(report: Callable[[str], None] = pytest.fail) -> Steps:
    return cuda_graph_steps(EAGER_STEPS, tapes, report)


def assert_equal(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12, msg=name)


def assert_replays_train_alike(
    run: Run, split: BatchSplit = FULL_BATCH, device: torch.device = CPU, make_capture: Any = tapes
) -> None:
    plain, replayed = (born(run, device=device) for _ in range(2))
    expected = iterations(run, plain, COUNT, steps=make_steps(split))
    found = iterations(
        run, replayed, COUNT, steps=cuda_graph_steps(make_steps(split), make_capture, pytest.fail)
    )
    assert_equal(tensors(replayed), tensors(plain))
    assert_equal(found, expected)


@pytest.mark.parametrize("name", RUNS)
def test_replayed_steps_train_the_same_networks(name: str) -> None:
    """Rates, mixing factors, inputs and controllers change from step to step."""
    assert_replays_train_alike(override(run_of(name), {"optimizer": "adam"}))


@pytest.mark.gpu
@pytest.mark.parametrize("name", RUNS)
def test_cuda_graphs_train_the_same_networks(name: str) -> None:
    assert_replays_train_alike(
        override(run_of(name), {"optimizer": "adam"}),
        device=torch.device("cuda"),
        make_capture=cuda_graph_capture,
    )


def test_scales_of_losses_move_in_graphs() -> None:
    assert_replays_train_alike(tiny_run(**COMMON, precision="fp16"))


def test_micro_batches_are_captured_too() -> None:
    run = tiny_run(**COMMON)
    sizes = MicroBatchSizes(override(run, {"micro_batch": 4}), pytest.fail)
    assert_replays_train_alike(run, BatchSplit(sizes))


class Counted:
    """Captures that count what was captured by each of them."""

    def __init__(self) -> None:
        self.by_capture: list[int] = []

    def __call__(self) -> Any:
        self.by_capture.append(0)
        capture = tapes()

        def counted(work: Callable[[], Tensor]) -> CapturedGraph:
            self.by_capture[-1] += 1
            return capture(work)

        return counted


def train_on(run: Run, steps: Steps) -> dict[str, Any]:
    """Train with a reset of the optimizers, another batch and a state that is restored."""
    state = born(run)
    iterations(run, state, COUNT, steps=steps)
    reset_optimizer(state.d_optimizer)
    reset_optimizer(state.g_optimizer)
    iterations(run, state, COUNT, steps=steps)
    iterations(override(run, {"batch": 4}), state, COUNT, steps=steps)
    good = copy_to_cpu(state, run)
    iterations(run, state, COUNT, steps=steps)
    restore(state, good)
    iterations(run, state, COUNT, steps=steps)
    return tensors(state)


def test_steps_are_captured_anew_when_what_they_move_was_replaced() -> None:
    run, counted = tiny_run(**COMMON, augment="adaptive", augment_p=0.4), Counted()
    assert_equal(
        train_on(run, cuda_graph_steps(EAGER_STEPS, counted, pytest.fail)),
        train_on(run, EAGER_STEPS),
    )
    assert counted.by_capture == [2, 2, 2, 2, 2]


def test_statistics_of_a_step_outlive_the_next() -> None:
    run, steps = tiny_run(**COMMON), captured()
    state = born(run)
    iterations(run, state, COUNT, steps=steps)
    first = iterations(run, state, 1, steps=steps)
    kept = {name: value.item() for name, value in first.items()}
    iterations(run, state, 3, steps=steps)
    assert {name: value.item() for name, value in first.items()} == kept


def test_what_cannot_be_captured_is_done_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def clip(network: Any, limit: float) -> None:
        assert all(weight.abs().max().item() < 1e9 for weight in network.parameters())  # waits

    monkeypatch.setattr(training_steps, "clip_weights", clip)
    run, log = tiny_run(**COMMON), list[str]()
    plain, replayed = born(run), born(run)
    iterations(run, plain, COUNT)
    iterations(run, replayed, COUNT, steps=captured(log.append))
    assert_equal(tensors(replayed), tensors(plain))
    (line,) = log
    assert line.startswith("A step cannot be captured as a CUDA graph (operation not")
