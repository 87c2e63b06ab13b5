"""Functions of a step as compiled code: what is logged of it, what stops it, what replaces it."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from progan.config import Run
from progan.errors import first_line
from progan.runtime.interrupts import stop_requested, stoppable
from progan.runtime.log import human_seconds
from progan.sizes import growing_name
from progan.training.step import LevelAlpha

if TYPE_CHECKING:
    from torch._dynamo.callback import CallbackArgs


class Compilation:
    """What the compiled functions of a run share: if one cannot be compiled, none is used.

    Args:
        report: Receives the one line that says so.
        announce: Receives a line when compilation for a level begins, and when it has ended.
    """

    def __init__(self, report: Callable[[str], None], announce: Callable[[str], None]) -> None:
        self._report, self._announce = report, announce
        self.usable = True
        self._stage = ""  # that is being compiled
        self._seconds = 0.0  # that it has taken so far

    @contextmanager
    def watched(self, stage: str) -> Iterator[None]:
        """Announce what torch compiles in this context; a stop ends it with KeyboardInterrupt."""
        from torch._dynamo.callback import callback_handler  # eager training needs no compiler

        interruption = ExitStack()
        started = 0.0

        def begin(_: "CallbackArgs") -> None:
            nonlocal started
            self._begin(stage)
            started = time.monotonic()
            interruption.enter_context(stoppable())

        def end(_: "CallbackArgs") -> None:
            self._seconds += time.monotonic() - started
            interruption.close()

        callback_handler.register_start_callback(begin)
        callback_handler.register_end_callback(end)
        try:
            yield
        finally:
            callback_handler.remove_start_callback(begin)
            callback_handler.remove_end_callback(end)

    def end_iteration(self) -> None:
        """Announce that everything that an iteration needs is compiled, if anything was."""
        if self._stage:
            self._announce(f"--acceleration compile: compiled for {self._stage} in "
                           f"{human_seconds(self._seconds)}.")
            self._stage = ""

    def fail(self, name: str, error: Exception) -> None:
        """Use no compiled code any more."""
        self.usable = False
        self._report(in_place_of("compile", [f"{name} cannot be compiled ({first_line(error)})"],
                                 "Eager code"))

    def _begin(self, stage: str) -> None:
        if stage and stage != self._stage:
            self._stage, self._seconds = stage, 0.0
            self._announce(f"--acceleration compile: compiling for {stage}, which may take "
                           "minutes ...")


class Compiled:
    """A function of the step as compiled code; the function itself if it cannot be compiled.

    As it changes nothing and draws no random numbers, it can be called again. So a stop need not
    wait for a compilation: the function itself ends the step.
    """

    def __init__(self, function: Callable[..., Any], compilation: Compilation, *,
                 last: bool = False) -> None:
        """Args: last: Whether an iteration ends with this function."""
        self._function, self._compilation, self._last = function, compilation, last
        self._compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)

    def __call__(self, *arguments: Any) -> Any:
        if not self._compilation.usable:
            return self._function(*arguments)
        try:
            with self._compilation.watched(stage_of(arguments)):
                result = self._compiled(*arguments)
        except KeyboardInterrupt:
            if not stop_requested():
                raise
            return self._function(*arguments)
        except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError
                ) as error:
            # A signal to the whole process group has ended compilers, too.
            if not stop_requested():
                self._compilation.fail(self._function.__name__, error)
            return self._function(*arguments)
        if self._last:
            self._compilation.end_iteration()
        return result


def stage_of(arguments: tuple[Any, ...]) -> str:
    """'16→32', the stage of a function that takes state, run and position; '' of any other."""
    match arguments:
        case (_, Run() as run, LevelAlpha() as position, *_):
            alpha = 1 if position.alpha is None else 0
            return growing_name(run.network.base, position.level, alpha)
    return ""


def in_place_of(asked: str, missing: list[str], instead: str) -> str:
    """The line on what of an --acceleration cannot be had, and why."""
    return (f"--acceleration {asked}: {', and '.join(missing)}. {instead} takes its place, with "
            "the same results.")
