"""The next phase is compiled beside the training of the present one, and disturbs nothing."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor.cpp_builder import CppBuilder, CppOptions

from progan import schedule
from progan.config import Run
from progan.errors import UserError
from progan.partition import Share
from progan.runtime import companion, devices
from progan.runtime.distributed import ALONE
from progan.runtime.log import Silence
from progan.schedule import Stage
from progan.training import preparation
from progan.training.ahead import NOTHING, Ahead, CompilesAhead
from progan.training.loop import Session, train
from progan.training.passes import ALL_AT_ONCE, Passes
from progan.training.rehearsal import Rehearsal, compile_whole_files, leave_memory
from progan.training.state import create
from progan.training.steps import PlainSteps
from tests.builders import noise_dataset, tiny_run
from tests.training.equal_steps import CPU

COMPILE = {"acceleration": "compile"}
ROOT = Path(__file__).resolve().parents[2]
needs_companions = pytest.mark.skipif(not companion.POSSIBLE, reason="there are no companions here")


class Actor:
    """A companion that does what a test says."""

    def __init__(self, task: str) -> None:
        self.task = Rehearsal.from_line(task)
        self.ended, self.failure, self.closed = False, "", False

    def close(self) -> None:
        self.closed = True


class Play:
    """A training of five phases, 4x4 to 16x16, and the companions that it starts."""

    def __init__(self, run: Run | None = None, **settings: Any) -> None:
        self.run = run or tiny_run()
        self.stages = [each.stage for each in
                       schedule.phases(self.run.growth, self.run.network)]
        self.actors: list[Actor] = []
        self.log: list[str] = []
        self.ahead = CompilesAhead(self.run, CPU, log=self.log.append, **dict(
            micro_batch_at=lambda level, n: n, start=self.start) | settings)

    def start(self, task: str) -> Any:
        self.actors.append(Actor(task))
        return self.actors[-1]

    def rounds(self, stage: Stage, count: int) -> None:
        for _ in range(count):
            self.ahead(stage)

    @property
    def compiled(self) -> list[int]:
        """The phases that companions were given."""
        return [actor.task.phase for actor in self.actors]


def test_each_phase_is_compiled_from_the_second_round_of_the_one_before() -> None:
    play = Play()
    for number, stage in enumerate(play.stages):
        play.rounds(stage, 1)
        assert len(play.actors) == number
        play.rounds(stage, 3)
        if number < len(play.actors):
            play.actors[number].ended = True
        play.rounds(stage, 2)
    assert play.compiled == [stage.phase for stage in play.stages[1:]] == [1, 2, 3, 4]
    assert [actor.task.stage for actor in play.actors] == play.stages[1:]
    assert play.log == []


def test_what_still_works_is_ended_by_the_next_phase_and_with_the_training() -> None:
    play = Play()
    play.rounds(play.stages[0], 3)
    assert not play.actors[0].closed
    play.rounds(play.stages[1], 1)
    assert play.actors[0].closed
    play.rounds(play.stages[1], 1)
    play.ahead.close()
    assert play.actors[1].closed


@pytest.mark.parametrize("run", [tiny_run(kind="dcgan", objective="gan"),
                                 tiny_run(initial_resolution=16), tiny_run(total_kimg=1)],
                         ids=["dcgan", "begins at the end", "ends before"])
def test_where_nothing_comes_nothing_is_compiled(run: Run) -> None:
    play = Play(run)
    play.rounds(play.stages[-1], 5)
    assert play.actors == []


def test_after_a_rollback_no_phase_is_compiled_twice() -> None:
    play = Play()
    for stage in (play.stages[0], play.stages[1], play.stages[0], play.stages[1]):
        play.rounds(stage, 3)
    assert play.compiled == [1, 2]


def test_the_first_failure_is_told_in_one_line_and_is_the_last() -> None:
    play = Play()
    play.rounds(play.stages[0], 2)
    play.actors[0].ended, play.actors[0].failure = True, "RuntimeError: it is broken"
    play.rounds(play.stages[0], 3)
    play.rounds(play.stages[1], 3)
    assert play.compiled == [1] and play.actors[0].closed
    (line,) = play.log
    assert "RuntimeError: it is broken" in line and "\n" not in line


def test_what_cannot_be_started_fails_no_training() -> None:
    def start(task: str) -> Any:
        raise OSError("no more processes")

    play = Play(start=start)
    play.rounds(play.stages[0], 3)
    play.rounds(play.stages[1], 3)
    (line,) = play.log
    assert "no more processes" in line


def test_nothing_is_started_where_less_memory_is_free_than_is_used(
        monkeypatch: pytest.MonkeyPatch) -> None:
    play, free = Play(), devices.peak_memory_bytes(CPU) - 1
    monkeypatch.setattr(devices, "unclaimed_memory_bytes", lambda device: free)
    play.rounds(play.stages[0], 3)
    assert play.actors == [] and play.log == []
    monkeypatch.setattr(devices, "unclaimed_memory_bytes", lambda device: 2**50)
    play.rounds(play.stages[0], 1)
    assert play.compiled == [1]


def test_a_companion_compiles_what_this_process_computes() -> None:
    asked: list[tuple[int, int]] = []

    def micro_batch_at(level: int, n: int) -> int:
        asked.append((level, n))
        return n // 4

    run = tiny_run(batch=32, batch_at=((8, 16),), precision="bf16", **COMPILE)
    play = Play(run, share=Share(1, 2), micro_batch_at=micro_batch_at)
    play.rounds(play.stages[0], 2)
    (actor,) = play.actors
    assert actor.task == Rehearsal(
        run=run, phase=1, device="cpu", micro_batch=2, threads=torch.get_num_threads(),
        share=Share(1, 2))
    assert asked == [(3, 8)]


@pytest.mark.parametrize(("acceleration", "first_here", "looks"), [
    ("eager", True, False), ("compile", True, True), ("compile", False, False)],
    ids=["eager", "compiled", "not the first of its machine"])
@needs_companions
def test_who_compiles_ahead(acceleration: str, first_here: bool, looks: bool) -> None:
    run = tiny_run(acceleration=acceleration)
    found = preparation.prepared(run, create(run, CPU), CPU, Silence(), ALONE,
                                 first_here=first_here).ahead
    assert isinstance(found, CompilesAhead) == looks
    assert (found is NOTHING) != looks


def test_half_of_the_free_memory_is_left_to_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: 1000)
    leave_memory(CPU, 500)
    with pytest.raises(UserError, match="too little memory"):
        leave_memory(CPU, 501)
    monkeypatch.setattr(devices, "free_memory_bytes", lambda device: None)
    leave_memory(CPU, 501)


def test_a_compiler_that_is_killed_leaves_no_torn_file(tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    def dying(self: CppBuilder) -> None:
        Path(self.get_command_line().partition("-o ")[2].split()[0]).write_text("torn")
        raise SystemExit

    (tmp_path / "code.cpp").write_text("int answer() { return 42; }")
    code = CppBuilder("code", str(tmp_path / "code.cpp"), CppOptions(), str(tmp_path))
    target = Path(code.get_target_file_path())
    monkeypatch.setattr(CppBuilder, "build", dying)
    compile_whole_files()
    with pytest.raises(SystemExit):
        code.build()
    torn = [path for path in tmp_path.glob("code*") if path.suffix != ".cpp" and path.is_file()]
    assert len(torn) == 1 and not target.exists()


class Listener(Ahead):

    def __init__(self) -> None:
        self.heard: list[int] = []
        self.closed = False

    def __call__(self, stage: Stage) -> None:
        assert not self.closed
        self.heard.append(stage.phase)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fails", [False, True])
def test_a_training_tells_of_each_round_and_of_its_end(tmp_path: Path, fails: bool) -> None:
    def passes_at(level: int) -> Passes:
        if fails and level == 3:
            raise RuntimeError("it is broken")
        return ALL_AT_ONCE

    run, listener = tiny_run(resolution=8, total_kimg=2), Listener()
    dataset = noise_dataset(tmp_path / "data", resolution=8)
    session = Session(run=run, dataset=dataset, directory=tmp_path, device=CPU, log=Silence(),
                      steps=PlainSteps(passes_at), ahead=listener)
    with pytest.raises(RuntimeError, match="it is broken") if fails else nullcontext():
        train(session, create(run, CPU))
    assert listener.closed
    assert listener.heard == [0] * 12 + [1] * (1 if fails else 4)


@pytest.mark.long
@needs_companions
def test_every_phase_but_the_first_finds_its_code_compiled(tmp_path: Path) -> None:
    """In a process of its own, as users train: other ones may know the same code by other names."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.training.compiling_ahead", tmp_path], text=True,
        stdout=subprocess.PIPE, check=True, cwd=ROOT,
        env=os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")})
    found = json.loads(result.stdout)
    assert found["log"] == []
    for name, first, others in (("autograd_cache_hit", 0, 3), ("autograd_cache_miss", 3, 0),
                                ("fxgraph_cache_miss", 5, 0)):
        assert [counts.get(name, 0) for counts in found["counts"]] == [first, others, others], name
