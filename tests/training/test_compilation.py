"""What is logged of compilation, what stops it, and what happens where it fails."""

import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.callback import CallbackTrigger, callback_handler

from progan.runtime.signals import StopSignal
from progan.training.acceleration import Compilation, CompiledFunction
from progan.training.step_inputs import LevelAlpha
from tests.builders import tiny_run


class Lines(list[str]):
    """What was logged; `cannot` are the lines that report a failure."""

    @property
    def cannot(self) -> list[str]:
        return [line for line in self if "cannot be compiled" in line]


def compilation(log: Lines) -> Compilation:
    return Compilation(log.append)


def compile_with(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> None:
    """Let torch.compile call the function itself, after some work that counts as compilation."""

    def fake(function: Callable[..., Any], **_: object) -> Callable[..., Any]:
        ready = set()

        def call(*arguments: Any) -> Any:
            if str(arguments) not in ready:
                with callback_handler.install_callbacks(CallbackTrigger.DYNAMO, "0"):
                    work()
                ready.add(str(arguments))
            return function(*arguments)

        return call

    monkeypatch.setattr(torch, "compile", fake)


def test_what_cannot_be_compiled_is_computed_nevertheless_with_one_line_for_all() -> None:
    def crooked(x: Tensor) -> Tensor:
        return x * 2 if float(x.sum()) > 0 else x  # looks at data, on which no graph can depend

    log = Lines()
    shared = compilation(log)
    for either in (CompiledFunction(crooked, shared), CompiledFunction(crooked, shared)):
        assert either(torch.ones(2)).tolist() == [2, 2]
        assert either(-torch.ones(2)).tolist() == [-1, -1]
    (line,) = log
    assert line.startswith("--acceleration compile: crooked cannot be compiled")


def test_errors_of_the_losses_themselves_are_not_swallowed() -> None:
    def broken(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("there is no more")

    with pytest.raises(RuntimeError, match="there is no more"):
        CompiledFunction(broken, compilation(Lines()))(torch.ones(2))


def test_each_level_is_announced_once_and_its_end_with_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_with(monkeypatch, lambda: None)
    log = Lines()
    shared = compilation(log)
    discriminator, generator = (
        CompiledFunction(lambda *_: 1, shared, last=last) for last in (False, True)
    )
    for position in (LevelAlpha(3, torch.tensor(0.5)), LevelAlpha(3, None)):
        for _ in range(2):
            assert (
                discriminator(None, tiny_run(), position) + generator(None, tiny_run(), position)
                == 2
            )
    assert [line.removeprefix("--acceleration compile: ") for line in log] == [
        "compiling for 4→8, which may take minutes ...",
        "compiled for 4→8 in 0s.",
        "compiling for 8, which may take minutes ...",
        "compiled for 8 in 0s.",
    ]


def test_a_stop_ends_a_compilation_and_the_step_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = list[str]()

    def work() -> None:
        signal.raise_signal(signal.SIGTERM)
        ended.append("waited for")

    compile_with(monkeypatch, work)
    log = Lines()
    shared = compilation(log)
    with StopSignal(announce=False) as interrupts:
        assert CompiledFunction(lambda: 1, shared)() == 1
        assert interrupts.reason == "SIGTERM"
        assert (
            CompiledFunction(lambda: 2, shared)() == 2
        )  # the other half of the step is not compiled
    assert ended == [] and log.cannot == []


def test_a_second_signal_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)

    compile_with(monkeypatch, work)
    with StopSignal(announce=False), pytest.raises(KeyboardInterrupt):
        CompiledFunction(lambda: 1, compilation(Lines()))()


def test_compilers_that_a_signal_to_all_has_ended_are_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The compiler's end may be noticed after the signal was."""

    def fake(function: Callable[..., Any], **_: object) -> Callable[..., Any]:
        def call() -> None:
            signal.raise_signal(signal.SIGTERM)
            raise torch._dynamo.exc.TorchDynamoException("g++ was killed")

        return call

    monkeypatch.setattr(torch, "compile", fake)
    log = Lines()
    with StopSignal(announce=False):
        assert CompiledFunction(lambda: 1, compilation(log))() == 1
    assert log == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "raise_signal", lambda number: None)
        assert CompiledFunction(lambda: 1, compilation(log))() == 1
    assert len(log.cannot) == 1  # nobody asked it to stop
