"""Compiled losses against eager ones, and what happens where nothing can be compiled."""

from collections.abc import Callable
from functools import partial

import pytest
import torch

from progan.config import Run, override
from progan.training import acceleration
from progan.training.acceleration import Acceleration, accelerate, choose_acceleration
from progan.training.cuda_graph import cuda_graph_steps
from progan.training.step import EAGER_STEPS, Steps
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, CPU, LEVEL, RUNS, born, iterations, run_of, tensors
from tests.training.tape import tapes

COMPILE = {"acceleration": "compile"}


def steps_of(run: Run, device: torch.device, report: Callable[[str], None]) -> Steps:
    return accelerate(choose_acceleration(run, device), report)


def assert_eager(steps: Steps) -> None:
    for step, eager in zip(steps, EAGER_STEPS, strict=True):
        assert isinstance(step, partial) and isinstance(eager, partial)
        assert (step.func, step.keywords) == (eager.func, eager.keywords)


def assert_trains_alike(run: Run) -> None:
    """Ten iterations in the middle of a fade, eager and compiled, leave the same numbers.

    In float64: in float32 the first steps of Adam, which are signs of gradients, make rounding
    errors grow to parts in a hundred, whoever makes them.
    """
    log, plain, compiled = list[str](), born(run), born(run)
    expected = iterations(run, plain, 10)
    found = iterations(run, compiled, 10, steps=steps_of(override(run, COMPILE), CPU, log.append))
    assert all("compiling for" in line or "compiled for" in line for line in log)
    for ours, theirs in ((tensors(compiled), tensors(plain)), (found, expected)):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-6, atol=1e-9, msg=name)


def test_compiled_losses_train_the_same_networks() -> None:
    assert_trains_alike(run_of("dcgan, wgan"))


@pytest.mark.long
@pytest.mark.parametrize("name", RUNS)
def test_every_objective_and_kind_is_compiled(name: str) -> None:
    assert_trains_alike(run_of(name))


@pytest.mark.long
@pytest.mark.parametrize("objective", ["wgan-gp", "r1"])
def test_scaled_losses_in_half_precision_are_compiled(objective: str) -> None:
    run = tiny_run(**COMMON, objective=objective, precision="fp16")
    log, plain, compiled = list[str](), born(run, torch.float32), born(run, torch.float32)
    expected = iterations(run, plain, 1)
    found = iterations(run, compiled, 1, steps=steps_of(override(run, COMPILE), CPU, log.append))
    assert not any("cannot" in line for line in log) and found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0.02, atol=1e-3, msg=name)


@pytest.mark.long
@pytest.mark.parametrize("resolution", [8, 16, 32, 64])
def test_every_level_is_compiled(resolution: int) -> None:
    assert_trains_alike(tiny_run(resolution=resolution, label_size=3, batch=8))


@pytest.mark.parametrize("how", ["auto", "eager"])
@pytest.mark.parametrize("device", ["cpu", "cuda", "mps"])
def test_nothing_is_compiled_or_recorded_unless_asked(device: str, how: str) -> None:
    run = tiny_run(acceleration=how)
    assert choose_acceleration(run, torch.device(device)) == Acceleration()
    assert_eager(steps_of(run, torch.device(device), pytest.fail))


@pytest.mark.parametrize("how", ["compile", "graph", "eager-graph"])
def test_random_layers_stay_eager_with_one_line(how: str) -> None:
    log: list[str] = []
    steps = steps_of(tiny_run(dropout=0.2, acceleration=how), CPU, log.append)
    assert_eager(steps)
    (line,) = log
    assert line.startswith(f"--acceleration {how}: layers that draw random numbers")


def test_without_a_compiler_steps_stay_eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration.shutil, "which", lambda name: None)
    log: list[str] = []
    assert_eager(steps_of(tiny_run(**COMPILE), CPU, log.append))
    assert "no C++ compiler" in log[0] and "the same results" in log[0]


@pytest.mark.parametrize(
    "device, processes, settings, recorded, words",
    [
        ("cuda", 1, {}, True, ""),
        ("cuda", 2, {}, False, "several processes"),
        ("cuda", 1, {"optimizer": "rmsprop"}, False, "RMSProp"),
        ("cpu", 1, {}, False, "cpu has no CUDA graphs. Compiled code takes its place"),
    ],
)
def test_steps_are_recorded_where_that_can_be(
    device: str,
    processes: int,
    settings: dict[str, str],
    recorded: bool,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acceleration, "_explain_no_compiler", lambda device: "")
    run = tiny_run(acceleration="graph", **settings)
    found = choose_acceleration(run, torch.device(device), processes)
    assert (found.compiled, found.captured) == (True, recorded)
    assert words in found.report and bool(words) == bool(found.report)


def test_what_is_recorded_need_not_be_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration, "_explain_no_compiler", lambda device: "there is no Triton")
    found = choose_acceleration(tiny_run(acceleration="graph"), torch.device("cuda"))
    assert (found.compiled, found.captured) == (False, True)
    assert "there is no Triton. A CUDA graph of eager code takes its place" in found.report


@pytest.mark.parametrize(
    "device, words", [("cuda", ""), ("cpu", "cpu has no CUDA graphs. Eager code takes its place")]
)
def test_eager_steps_are_recorded_without_a_compiler(
    device: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration, "_explain_no_compiler", lambda device: "there is no Triton")
    found = choose_acceleration(tiny_run(acceleration="eager-graph"), torch.device(device))
    assert (found.compiled, found.captured) == (False, device == "cuda")
    assert words in found.report and bool(words) == bool(found.report)


def test_auto_is_what_was_fastest_at_each_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration, "_explain_no_compiler", lambda device: "")
    monkeypatch.setattr(acceleration, "FASTEST_ON_CUDA", {4: "eager-graph", 16: "graph"})
    run = tiny_run(acceleration="auto", resolution=16)
    found = choose_acceleration(run, torch.device("cuda"))
    assert {level: (each.compiled, each.captured) for level, each in found.by_level.items()} == {
        2: (False, True),
        3: (False, False),
        4: (True, True),
    }
    assert (found.compiled, found.captured, found.report) == (True, True, "")
    assert choose_acceleration(run, CPU) == Acceleration()


def test_steps_of_a_level_are_taken_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    run = tiny_run(**COMMON)
    plain, by_level = born(run), born(run)
    iterations(run, plain, 5)
    taken: list[str] = []

    def captured(steps: Steps, recorder: object, report: object) -> Steps:
        taken.append("graph")
        return cuda_graph_steps(steps, tapes, pytest.fail)

    monkeypatch.setattr(acceleration, "cuda_graph_steps", captured)
    eager, graph = Acceleration(), Acceleration(captured=True)
    how = Acceleration(by_level={LEVEL - 1: eager, LEVEL: graph, LEVEL + 1: graph})
    iterations(run, by_level, 5, steps=accelerate(how, pytest.fail))
    assert taken == ["graph"]  # levels of one way share it
    for name, value in tensors(plain).items():
        torch.testing.assert_close(tensors(by_level)[name], value, msg=name)
