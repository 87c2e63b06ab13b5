"""What is looked at before the first image, and that looking changes nothing."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from progan.batch_split import Shard
from progan.config import Run
from progan.errors import UserError
from progan.presets import preset
from progan.runtime import devices
from progan.training import preflight
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.preflight import (
    LevelCost,
    Preflight,
    affordable_stages,
    costs_table,
    demanding_stages,
    estimate_seconds,
    remaining_images,
)
from progan.training.state import create_state
from progan.training.step import Steps, make_steps
from tests.builders import descend, tiny_run
from tests.training.equal_steps import CPU, tensors
from tests.training.test_micro_batches import Memory

GIB = 2**30


def look(run: Run, state: Any = None, **settings: Any) -> Preflight:
    sizes = MicroBatchSizes(run, print_line=lambda line: None)
    return Preflight(
        run=run, state=state or create_state(run, CPU), device=CPU, micro_batches=sizes,
        steps=make_steps(BatchSplit(sizes)), **settings,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["step", "estimate"])
@pytest.mark.parametrize(
    "overrides",
    [
        dict(augment="adaptive", label_size=3, stddev_group=4),
        dict(kind="dcgan", objective="gan", g_norm="batch", dropout=0.3, optimizer="rmsprop"),
    ],
    ids=["growing, adaptive", "batch norm, dropout"],
)
@pytest.mark.parametrize("moved", [False, True])
def test_the_state_and_torchs_random_numbers_stay_as_they_are(
    how: str, overrides: dict[str, Any], moved: bool
) -> None:
    run = tiny_run(batch=8, **overrides)
    state = create_state(run, CPU)
    if moved:  # as a resumed one: with moments, and somewhere else
        descend(
            state.d_optimizer, sum(w.square().sum() for w in state.discriminator.parameters()), 0.1
        )
        state.images_seen, state.stat_sums.counts["loss"] = 640, 2
        state.stat_sums.sums["loss"] = torch.tensor(0.5)
    before, clock = (
        {name: value.clone() for name, value in tensors(state).items()},
        (state.images_seen, state.phase, state.tick, dict(state.stat_sums.counts)),
    )
    weights, random = list(state.generator.parameters()), torch.random.get_rng_state()
    found = look(run, state)(how)
    assert len(found) == len(demanding_stages(run, state.images_seen)) >= 1
    after = tensors(state)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert clock == (state.images_seen, state.phase, state.tick, dict(state.stat_sums.counts))
    assert torch.equal(random, torch.random.get_rng_state())
    assert all(
        one is other for one, other in zip(weights, state.generator.parameters(), strict=True)
    )
    assert state.generator.training and all(w.grad is None for w in weights)


def test_every_level_to_come_is_looked_at_where_it_needs_most() -> None:
    run = tiny_run(batch=8)
    assert {level: stage.fading for level, stage in demanding_stages(run, 0).items()} == {
        2: False,
        3: True,
        4: True,
    }
    assert {level: stage.fading for level, stage in demanding_stages(run, 3500).items()} == {
        3: False,
        4: True,
    }
    assert [remaining_images(run, level, 3500) for level in (2, 3, 4)] == [0, 1000, 3000]


def test_an_estimate_finds_the_micro_batch_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(batch=64, stddev_group=4)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: 10 * GIB)
    roomy = look(run)("estimate")
    assert [each.micro_batch for each in roomy] == [64, 64, 64]
    free = roomy[-1].memory_bytes - 10**6
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: free)
    tight = look(run)("estimate")
    assert tight[-1].micro_batch < 64 and tight[-1].memory_bytes < roomy[-1].memory_bytes
    assert tight[0].micro_batch == 64


def test_an_estimate_refuses_what_cannot_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: 1000)
    with pytest.raises(UserError) as error:
        look(tiny_run(batch=8, stddev_group=4))("estimate")
    words = str(error.value)
    assert re.search(
        r"Resolution 4 does not fit into memory: 4 images of the batch at once need about [\d.]+ "
        r"\w+, and there are",
        words,
    )
    assert "--fmap-max" in words and "--preflight none" in words


def test_processes_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(batch=64, stddev_group=4)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: 4000)
    one, two = (look(run, local_processes=count)._free_bytes() for count in (1, 2))
    assert one - two == 2000


def test_a_step_that_runs_out_of_memory_is_cut_now(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(32).install(monkeypatch)
    found = look(tiny_run(batch=64, stddev_group=4))("step")
    assert [each.micro_batch for each in found] == [32, 32, 32] and memory.failures == 3
    Memory(2).install(monkeypatch)
    with pytest.raises(UserError, match="Out of memory at resolution 4, with 4 images of the"):
        look(tiny_run(batch=64, stddev_group=4))("step")


def test_a_share_is_looked_at_as_it_is_trained() -> None:
    run = tiny_run(batch=16, stddev_group=4)
    seen = set[int]()

    class Watched(BatchSplit):
        def gradients(self, run: Run, level: int, loss_of: Any, inputs: Any, *more: Any) -> Any:
            seen.add(len(inputs.labels))
            return super().gradients(run, level, loss_of, inputs, *more)

    found = replace(look(run), shard=Shard(1, 2), steps=make_steps(Watched()))("step")
    assert seen == {8} and found[0].batch == 16 and found[0].micro_batch == 8


def test_speed_is_tried_where_a_step_takes_no_more_than_a_second() -> None:
    small, large = preset("demo"), preset("v2-1gpu")
    assert [stage.level for stage in affordable_stages(small, demanding_stages(small, 0))] == [
        2,
        3,
        4,
        5,
    ]
    assert affordable_stages(large, demanding_stages(large, 0)) == []


@pytest.mark.parametrize(("interval", "d_seconds"), [(1, 3.0), (4, (3 + 3 * 2) / 4)])
def test_one_generator_step_belongs_to_several_of_the_discriminator(
    monkeypatch: pytest.MonkeyPatch, interval: int, d_seconds: float
) -> None:
    """That of the discriminator takes 3 s here, without the penalty 2 s, the other one 10 s."""
    clock = [0.0]
    run = tiny_run(batch=4, d_repeats=5, penalty_interval=interval)

    def discriminator(*arguments: Any) -> Any:
        clock[0] += 3 if arguments[-1].with_penalty else 2

    def generator(*arguments: Any) -> Any:
        clock[0] += 10

    steps = Steps(discriminator, generator)
    monkeypatch.setattr(preflight, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(preflight, "make_steps", lambda split: steps)
    expected = (d_seconds + 10 / 5) / 4
    (cost, *_) = replace(look(run), steps=steps)("step")
    assert cost.seconds_per_image == pytest.approx(expected)
    assert estimate_seconds(run, CPU) == pytest.approx(1000 * run.growth.total_kimg * expected)


def test_the_report_adds_up() -> None:
    run = tiny_run()
    findings = [
        LevelCost(2, 64, 64, GIB, 0.01, 360_000),
        LevelCost(3, 64, 16, 3 * GIB // 2, 0.5, 7200),
    ]
    lines = costs_table(findings, run, "estimate").splitlines()
    assert [line.split() for line in lines[1:3]] == [
        ["4", "64", "-", "1.0", "GiB", "100", "1h", "00m"],
        ["8", "64", "16", "1.5", "GiB", "2", "1h", "00m"],
    ]
    assert lines[3].startswith("Total 2h 00m") and "rough estimate" in lines[3]
    shared = costs_table(findings, run, "step", 4).splitlines()
    assert [line.split()[2] for line in shared[1:3]] == ["-", "-"]  # 16 is a share of 64


def test_free_memory_is_that_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:   5000 kB\n")
    monkeypatch.setattr(devices, "MEMORY_FILE", tmp_path / "meminfo")
    monkeypatch.setattr(devices, "CGROUP", tmp_path)
    assert devices.free_memory_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.stat").write_text("anon 100000\nfile 9999999\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert devices.free_memory_bytes(CPU) == 5000 * 1024
    (tmp_path / "memory.max").write_text("1100000\n")
    assert devices.free_memory_bytes(CPU) == 1_000_000
    monkeypatch.setattr(devices, "MEMORY_FILE", tmp_path / "absent")
    assert devices.free_memory_bytes(CPU) is None


def test_none_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from progan.runtime.distributed import SINGLE_PROCESS
    from progan.runtime.log import NullLog
    from progan.training import acceleration as execution

    monkeypatch.setattr(preflight.Preflight, "__call__", pytest.fail)
    run = tiny_run(preflight="none")
    plan = execution.prepare_execution(run, create_state(run, CPU), CPU, NullLog(), SINGLE_PROCESS)
    assert plan.expected == {}
