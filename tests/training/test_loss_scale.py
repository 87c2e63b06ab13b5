"""Loss scaling: it changes no result, and leaves out steps that overflow."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from progan.batch_split import Shard
from progan.config import Run, override
from progan.runtime.distributed import Group
from progan.training import checkpoint, precision
from progan.training import gradients as module
from progan.training import state as states
from progan.training.gradients import BatchSplit, Gradients, MicroBatchSizes, all_reduce
from progan.training.guard import describe_divergence
from progan.training.precision import (
    D_LOSS_SCALE,
    G_LOSS_SCALE,
    INITIAL_LOG2_SCALE,
    MIN_SCALE,
    get_loss_scale,
    mask_overflow,
)
from progan.training.state import TrainState
from tests.builders import noise_dataset, tiny_run
from tests.training.equal_steps import COMMON, CPU, RUNS, Threads, born, iterations, tensors
from tests.training.test_guard import RUN, once, rows, spoil, train

SCALES = (D_LOSS_SCALE, G_LOSS_SCALE)
OBJECTIVES = {
    name: RUNS[name]
    for name in (
        "progressive, wgan-gp, adaptive",
        "progressive, relativistic",
        "dcgan, lsgan",
        "dcgan, wgan",
        "resnet, r1",
        "autoencoder, began",
    )
} | {
    "progressive, dragan": dict(objective="dragan"),
    "dcgan, gan, separate": RUNS["dcgan, gan, separate"] | dict(optimizer="adam"),
}


def fp16_run(**more: Any) -> Run:
    return tiny_run(**(COMMON | dict(precision="fp16") | more))


def with_scales(run: Run, log2: float, dtype: torch.dtype = torch.float32) -> TrainState:
    state = born(run, dtype)
    for name in SCALES:
        state.controllers[name].fill_(log2)
    return state


def moved_by_steps(state: TrainState) -> dict[str, Tensor]:
    """Weights and moments, copied."""
    return {
        name: value.clone()
        for name, value in tensors(state).items()
        if not name.startswith(("dials.", "average."))
    }


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize("log2", [-20.0, 30.0])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_scaling_alone_changes_nothing(name: str, log2: float) -> None:
    """Of losses and of inner gradients; autocast leaves float64 as it is."""
    run, other = fp16_run(**OBJECTIVES[name]), tiny_run(**(COMMON | OBJECTIVES[name]))
    scaled, plain = with_scales(run, log2, torch.float64), born(other)
    found, expected = iterations(run, scaled, 1), iterations(other, plain, 1)
    for ours, theirs in ((found, expected), (tensors(scaled), tensors(plain))):
        assert ours.keys() - theirs.keys() <= {
            f"{prefix}{dial}" for prefix in ("dials/", "dials.") for dial in SCALES
        }
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-12, atol=1e-12, msg=key)


def test_a_scale_that_is_too_high_moves_nothing_and_falls_until_it_is_not() -> None:
    run = fp16_run()
    state = with_scales(run, 10.0)
    iterations(run, state, 2)  # so that there are moments
    assert [state.controllers[name].item() for name in SCALES] == pytest.approx([10.001] * 2)
    for name in SCALES:
        state.controllers[name].fill_(25.0)
    before, average = moved_by_steps(state), state.g_ema.state_dict()
    average = {name: value.clone() for name, value in average.items()}
    found = iterations(run, state, 1)
    assert_same(moved_by_steps(state), before)
    assert [state.controllers[name].item() for name in SCALES] == [24.0] * 2
    assert any(
        not torch.equal(average[name], value)  # goes on
        for name, value in state.g_ema.state_dict().items()
    )
    assert found["gradient/critic-weights"] == found["gradient/generator-weights"] == 0
    for _ in range(24):
        iterations(run, state, 1)
    after = moved_by_steps(state)
    assert all(0 < state.controllers[name].frac() < 0.02 for name in SCALES)  # has moved since
    assert not torch.equal(after["d_optimizer.0.step"], before["d_optimizer.0.step"])


def test_a_skipped_step_is_no_fault_and_what_is_lost_otherwise_is() -> None:
    run = fp16_run()
    found = iterations(run, with_scales(run, 40.0), 1)
    assert found["gradient/norm"] == found["loss/penalty"] == found["loss/critic"] == 0
    assert describe_divergence({name: value.item() for name, value in found.items()}, 1e6) == ""
    state = with_scales(run, 10.0)
    with torch.no_grad():
        state.discriminator.blocks["4x4"].hidden.bias[0] = math.nan
    found = iterations(run, state, 1)
    words = describe_divergence({name: value.item() for name, value in found.items()}, 1e6)
    assert "scores/real" in words and "loss/generator" in words


def test_without_a_scale_that_could_fall_everything_is_told() -> None:
    lost = {
        name: torch.tensor(math.inf)
        for name in ("gradient/critic-weights", "loss/penalty", "loss/critic")
    }
    assert mask_overflow(lost, torch.tensor(MIN_SCALE)) == dict.fromkeys(lost, 0)
    assert mask_overflow(lost, torch.tensor(MIN_SCALE / 2)) == mask_overflow(lost, None) == lost
    others = {name: torch.tensor(math.inf) for name in ("scores/real", "loss/generator")}
    assert mask_overflow(others, torch.tensor(MIN_SCALE)) == others


def test_in_float32_nothing_is_scaled_and_the_controller_rests() -> None:
    run = fp16_run(low_precision_from=16)  # the networks end at 8
    state, plain = with_scales(run, 40.0), born(tiny_run(**COMMON), torch.float32)
    assert get_loss_scale(state.controllers, D_LOSS_SCALE, run, 3) is None
    iterations(run, state, 2)
    iterations(tiny_run(**COMMON), plain, 2)
    assert_same(moved_by_steps(state), moved_by_steps(plain))
    assert [state.controllers[name] for name in SCALES] == [40.0, 40.0]
    assert not set(SCALES) & born(tiny_run(precision="bf16")).controllers.keys()


def test_micro_batches_are_scaled_alike() -> None:
    run = fp16_run()
    sizes = MicroBatchSizes(override(run, {"micro_batch": 4}), pytest.fail)
    split = BatchSplit(sizes)
    whole = iterations(run, with_scales(run, 20.3, torch.float64), 1)
    parts = iterations(run, with_scales(run, 20.3, torch.float64), 1, split)
    torch.testing.assert_close(
        parts["gradient/critic-weights"], whole["gradient/critic-weights"], rtol=1e-12, atol=0
    )


def test_all_processes_skip_what_overflows_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run = fp16_run()

    def overflowing(own: Gradients, run: Run, group: Group) -> Gradients:
        if group.rank:
            own = own._replace(
                of_weights=[each if each is None else each * math.inf for each in own.of_weights]
            )
        return all_reduce(own, run, group)

    monkeypatch.setattr(module, "all_reduce", overflowing)

    def work(group: Group) -> dict[str, Tensor]:
        own = with_scales(run, 4.0)
        split = BatchSplit(group=group)
        iterations(run, own, 1, split, Shard(group.rank, group.size))
        return tensors(own)

    one, other = Threads(2).run(work)
    assert_same(one, other)
    assert one[f"dials.{D_LOSS_SCALE}"] == one[f"dials.{G_LOSS_SCALE}"] == 3.0
    born_with = tensors(with_scales(run, 4.0))
    assert torch.equal(
        one["generator.blocks.4x4.dense.weight"], born_with["generator.blocks.4x4.dense.weight"]
    )


def test_checkpoints_carry_the_scales(tmp_path: Path) -> None:
    run = fp16_run()
    saved = with_scales(run, 1 / 3)
    loaded = checkpoint.load_state(
        checkpoint.save_state_and_delete_oldest(tmp_path, saved, run), run, CPU
    )
    assert all(torch.equal(loaded.controllers[name], saved.controllers[name]) for name in SCALES)
    plain = tiny_run(**COMMON)
    path = checkpoint.save_state_and_delete_oldest(tmp_path, states.create_state(plain, CPU), plain)
    assert checkpoint.load_state(path, run, CPU).controllers == dict.fromkeys(
        SCALES, INITIAL_LOG2_SCALE
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise").path


def test_skipped_steps_are_no_reason_to_go_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "INITIAL_LOG2_SCALE", 22.0)
    result = train(data, tmp_path, "--precision", "fp16")
    assert result.exit_code == 0, result.output
    assert not list((tmp_path / RUN).glob("rollback-*"))
    lines = rows(tmp_path / RUN)
    assert all(math.isfinite(value) for row in lines for value in row.values())
    assert all(
        lines[-1][f"dials/{name}"] < 21 and lines[-1]["progress/rollbacks"] == 0 for name in SCALES
    )


def test_a_bad_batch_is(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, once(1500))
    result = train(data, tmp_path, "--precision", "fp16")
    assert result.exit_code == 0, result.output
    assert rows(tmp_path / RUN)[-1]["progress/rollbacks"] == 1
    evidence = json.loads((tmp_path / RUN / "rollback-01.json").read_text())
    assert "scores/real" in evidence["what"]
