"""How steps are computed: operation after operation, as compiled code, or as recordings of it.

Results are the same but for rounding, and where something cannot be had, one line says so.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from progan.config import Run
from progan.errors import first_line
from progan.runtime.cuda_prefetch import cuda_graph_capture
from progan.runtime.log import human_seconds
from progan.runtime.stop_signal import interruptible, stop_requested
from progan.sizes import MIN_LEVEL, growing_name
from progan.training.cuda_graph import CudaGraphSteps
from progan.training.optim import Rate
from progan.training.state import TrainState
from progan.training.step import (
    PLAIN_LOSSES,
    DiscriminatorInputs,
    GeneratorInputs,
    LevelAlpha,
    Losses,
    PlainSteps,
    Statistics,
    Steps,
)

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
            interruption.enter_context(interruptible())

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
            self._announce(
                f"--acceleration compile: compiled for {self._stage} in "
                f"{human_seconds(self._seconds)}."
            )
            self._stage = ""

    def fail(self, name: str, error: Exception) -> None:
        """Use no compiled code any more."""
        self.usable = False
        self._report(
            in_place_of(
                "compile", [f"{name} cannot be compiled ({first_line(error)})"], "Eager code"
            )
        )

    def _begin(self, stage: str) -> None:
        if stage and stage != self._stage:
            self._stage, self._seconds = stage, 0.0
            self._announce(
                f"--acceleration compile: compiling for {stage}, which may take minutes ..."
            )


class Compiled:
    """A function of the step as compiled code; the function itself if it cannot be compiled.

    As it changes nothing and draws no random numbers, it can be called again. So a stop need not
    wait for a compilation: the function itself ends the step.
    """

    def __init__(
        self, function: Callable[..., Any], compilation: Compilation, *, last: bool = False
    ) -> None:
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
        except (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError) as error:
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
    return (
        f"--acceleration {asked}: {', and '.join(missing)}. {instead} takes its place, with "
        "the same results."
    )


# Every level, faded in or not, is compiled by itself; torch gives up on the ninth by default.
MOST_VARIANTS = 1024
COMPILING = ("compile", "graph")  # values of --acceleration
RECORDING = ("eager-graph", "graph")
# The fastest of them on CUDA, by resolution: what `python benchmarks/gpu.py --report` prints.
# Empty, as no GPU has been measured yet.
FASTEST_ON_CUDA: Mapping[int, str] = {}


class Acceleration(NamedTuple):
    """Whether losses are compiled and whole steps recorded, and in a line what of that was asked
    for and cannot be had; '' if all of it can.

    Attributes:
        by_level: Instead of these, where levels differ.
    """

    compiled: bool = False
    recorded: bool = False
    report: str = ""
    by_level: "Mapping[int, Acceleration]" = {}


def chosen(run: Run, device: torch.device, processes: int = 1) -> Acceleration:
    """How a run is accelerated on a device.

    `auto` is eager on a CPU, where what compiled code wins in an hour is little more than its
    compilation takes (docs/performance.md), and on CUDA what was measured to be the fastest.
    """
    if run.acceleration == "auto" and device.type == "cuda" and FASTEST_ON_CUDA:
        by_level = {
            level: _at_level(run, level, device, processes)
            for level in range(MIN_LEVEL, run.network.max_level + 1)
        }
        return Acceleration(
            any(each.compiled for each in by_level.values()),
            any(each.recorded for each in by_level.values()),
            by_level=by_level,
        )
    return _chosen(run, run.acceleration, device, processes)


def _at_level(run: Run, level: int, device: torch.device, processes: int) -> Acceleration:
    """What is fastest there, or as much of it as can be had, without a word."""
    return _chosen(run, FASTEST_ON_CUDA.get(1 << level, "eager"), device, processes)._replace(
        report=""
    )


def _chosen(run: Run, asked: str, device: torch.device, processes: int) -> Acceleration:
    if asked in ("auto", "eager"):
        return Acceleration()
    if run.random_layers:
        return Acceleration(
            report=in_place_of(
                asked, ["layers that draw random numbers would draw others"], "Eager code"
            )
        )
    compiles, records = asked in COMPILING, asked in RECORDING
    no_compiler = _no_compiler(device) if compiles else ""
    no_graphs = _no_graphs(run, device, processes) if records else ""
    compiled, recorded = compiles and not no_compiler, records and not no_graphs
    missing = [why for why in (no_graphs, no_compiler) if why]
    instead = "Compiled code" if compiled else "Recorded code" if recorded else "Eager code"
    return Acceleration(compiled, recorded, in_place_of(asked, missing, instead) if missing else "")


def accelerated(steps: PlainSteps, how: Acceleration, report: Callable[[str], None]) -> Steps:
    """The same steps, compiled and recorded; what of that cannot be had is told in a line."""
    if how.report:
        report(how.report)
    if how.by_level:
        ways = {
            (each.compiled, each.recorded): accelerated(steps, each, report)
            for each in how.by_level.values()
        }
        return StepsByLevel(
            {level: ways[each.compiled, each.recorded] for level, each in how.by_level.items()}
        )
    if how.compiled:
        steps = replace(steps, losses=compiled_losses(report, report))
    return CudaGraphSteps(steps, cuda_graph_capture, report) if how.recorded else steps


@dataclass(frozen=True, slots=True)
class StepsByLevel:
    """Steps that are computed in another way at some levels."""

    at: Mapping[int, Steps]

    def discriminator(
        self,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs,
    ) -> Statistics:
        return self.at[position.level].discriminator(state, run, position, rate, inputs)

    def generator(
        self, state: TrainState, run: Run, position: LevelAlpha, rate: Rate, inputs: GeneratorInputs
    ) -> Statistics:
        return self.at[position.level].generator(state, run, position, rate, inputs)


def compiled_losses(report: Callable[[str], None], announce: Callable[[str], None]) -> Losses:
    """Losses, each of which is one graph with its gradient penalty.

    Args:
        report: Receives a line if they cannot be compiled.
        announce: Receives a line when compilation begins for a level, and when it has ended.
    """
    torch._dynamo.config.recompile_limit = MOST_VARIANTS
    torch._dynamo.config.accumulated_recompile_limit = MOST_VARIANTS
    # Else gradients would be compiled while they are computed, where a step can neither be stopped
    # nor be computed by eager code.
    torch._functorch.config.force_non_lazy_backward_lowering = True
    compilation = Compilation(report, announce)
    return Losses(
        *(
            Compiled(function, compilation, last=function is PLAIN_LOSSES.generator)
            for function in PLAIN_LOSSES
        )
    )


def _no_compiler(device: torch.device) -> str:
    """Why nothing can be compiled for a device; '' if it can."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return "" if has_triton() else "torch finds no Triton that works with this GPU"
    if device.type == "cpu":
        found = any(shutil.which(name) for name in ("g++", "clang++", "cl"))
        return "" if found else "there is no C++ compiler (g++ or clang++)"
    return f"torch compiles nothing for {device.type}"


def _no_graphs(run: Run, device: torch.device, processes: int) -> str:
    """Why steps cannot be recorded; '' if they can."""
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    if processes > 1:
        return "steps of several processes are not recorded"
    return "" if run.optim.optimizer == "adam" else "RMSProp counts its steps on the CPU"
