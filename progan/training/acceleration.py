"""Acceleration of steps, compiled code and CUDA graphs, and the setup of a training's execution.

Results are the same but for rounding; where something is unavailable, one line is reported.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from progan.batch_split import Shard
from progan.config import Run
from progan.errors import get_first_error_line
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.runtime.signals import interrupt_at_once_on_stop, stop_requested
from progan.runtime.text import PrintLine, format_duration
from progan.runtime.torch_settings import set_up_compiler
from progan.sizes import MIN_LEVEL, format_growing_size
from progan.training.cuda_graph import cuda_graph_capture, cuda_graph_steps
from progan.training.gradients import FULL_BATCH, BatchSplit, MicroBatchSizes
from progan.training.preflight import Preflight, costs_table, cpu_note, total_seconds
from progan.training.state import TrainState
from progan.training.step import EAGER_FUNCTIONS, StepFunctions, Steps, make_steps
from progan.training.step_inputs import LevelAlpha

if TYPE_CHECKING:
    from torch._dynamo.callback import CallbackArgs


class Compilation:
    """State shared by the compiled functions of a run: if one cannot be compiled, none is used.

    Args:
        print_line: Receives a line when compilation for a level begins, ends or fails.
    """

    def __init__(self, print_line: PrintLine) -> None:
        self._print_line = print_line
        self.usable = True
        self._stage = ""  # the stage that is being compiled
        self._seconds = 0.0  # its compilation so far

    @contextmanager
    def report_compilation(self, stage: str) -> Iterator[None]:
        """Report what torch compiles in this context; a stop ends it with KeyboardInterrupt."""
        from torch._dynamo.callback import callback_handler  # eager training needs no compiler

        interruption = ExitStack()
        started = 0.0

        def begin(_: "CallbackArgs") -> None:
            nonlocal started
            self._begin(stage)
            started = time.monotonic()
            interruption.enter_context(interrupt_at_once_on_stop())

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
        """Report that everything that an iteration needs is compiled, if anything was."""
        if self._stage:
            took = format_duration(self._seconds)
            self._print_line(f"--acceleration compile: compiled for {self._stage} in {took}.")
            self._stage = ""

    def fail(self, name: str, error: Exception) -> None:
        """Stop the use of all compiled code, and report the error."""
        self.usable = False
        why = f"{name} cannot be compiled ({get_first_error_line(error)})"
        self._print_line(format_unavailable_acceleration("compile", [why], "Eager code"))

    def _begin(self, stage: str) -> None:
        if stage and stage != self._stage:
            self._stage, self._seconds = stage, 0.0
            self._print_line(
                f"--acceleration compile: compiling for {stage}, which may take minutes ..."
            )


class CompiledFunction:
    """A function of the step as compiled code, or the function itself if that fails.

    Compilation computes nothing and changes no statistics of batch normalisation: a stop need not
    wait for it, since the function itself then completes the step.
    """

    def __init__(
        self, function: Callable[..., Any], compilation: Compilation, *, last: bool = False
    ) -> None:
        """Args: last: True for the last function of an iteration."""
        self._function, self._compilation, self._last = function, compilation, last
        self._compiled: Callable[..., Any] = torch.compile(function, fullgraph=True, dynamic=False)

    def __call__(self, *arguments: Any) -> Any:
        if not self._compilation.usable:
            return self._function(*arguments)
        try:
            with self._compilation.report_compilation(_format_stage_of_arguments(arguments)):
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


def _format_stage_of_arguments(arguments: tuple[Any, ...]) -> str:
    """Return the stage of a function that takes state, run and position, '16→32'; else ''."""
    match arguments:
        case (_, Run() as run, LevelAlpha() as position, *_):
            alpha = 1 if position.alpha is None else 0
            return format_growing_size(run.network.base, position.level, alpha)
    return ""


def format_unavailable_acceleration(requested: str, reasons: list[str], instead: str) -> str:
    """Return the line that says why an --acceleration is unavailable, and what is used instead."""
    return (
        f"--acceleration {requested}: {', and '.join(reasons)}. {instead} takes its place, with "
        "the same results."
    )


COMPILING = ("compile", "graph")  # values of --acceleration
CAPTURING = ("eager-graph", "graph")
# The fastest of them on CUDA, by resolution: the output of `python benchmarks/gpu.py --report`.
# Empty, as no GPU has been measured yet.
FASTEST_ON_CUDA: Mapping[int, str] = {}


class Acceleration(NamedTuple):
    """Compiled or captured execution of steps.

    Attributes:
        compiled: Losses are compiled.
        captured: Whole steps are CUDA graphs.
        report: One line about what was requested and is unavailable; '' if nothing.
        by_level: Instead of these, where levels differ.
    """

    compiled: bool = False
    captured: bool = False
    report: str = ""
    by_level: "Mapping[int, Acceleration]" = {}


def choose_acceleration(run: Run, device: torch.device, processes: int = 1) -> Acceleration:
    """Choose the acceleration of a run on a device.

    `auto` is eager on a CPU, where an hour of compiled code gains little more than its
    compilation takes (docs/performance.md), and on CUDA what was measured to be the fastest.
    """
    if run.acceleration != "auto" or device.type != "cuda" or not FASTEST_ON_CUDA:
        return _choose_available(run, run.acceleration, device, processes)
    by_level = {}
    for level in range(MIN_LEVEL, run.network.max_level + 1):
        fastest = FASTEST_ON_CUDA.get(1 << level, "eager")
        by_level[level] = _choose_available(run, fastest, device, processes)._replace(report="")
    return Acceleration(
        any(each.compiled for each in by_level.values()),
        any(each.captured for each in by_level.values()),
        by_level=by_level,
    )


def _choose_available(
    run: Run, requested: str, device: torch.device, processes: int
) -> Acceleration:
    if requested in ("auto", "eager"):
        return Acceleration()
    if run.random_layers:
        reasons = ["layers that draw random numbers would draw others"]
        return Acceleration(
            report=format_unavailable_acceleration(requested, reasons, "Eager code")
        )
    compiles, captures = requested in COMPILING, requested in CAPTURING
    no_compiler = _explain_no_compiler(device) if compiles else ""
    no_graphs = _explain_no_cuda_graphs(run, device, processes) if captures else ""
    compiled, captured = compiles and not no_compiler, captures and not no_graphs
    instead = (
        "Compiled code" if compiled else "A CUDA graph of eager code" if captured else "Eager code"
    )
    reasons = [reason for reason in (no_graphs, no_compiler) if reason]
    report = format_unavailable_acceleration(requested, reasons, instead) if reasons else ""
    return Acceleration(compiled, captured, report)


def accelerate(how: Acceleration, print_line: PrintLine, split: BatchSplit = FULL_BATCH) -> Steps:
    """Return the steps of an acceleration; what is unavailable is reported in a line."""
    if how.report:
        print_line(how.report)
    if how.by_level:
        kinds = {level: each[:2] for level, each in how.by_level.items()}  # compiled, captured
        steps = {
            kind: accelerate(Acceleration(*kind), print_line, split) for kind in set(kinds.values())
        }
        return dispatch_steps_by_level({level: steps[kind] for level, kind in kinds.items()})
    functions = compile_functions(print_line) if how.compiled else EAGER_FUNCTIONS
    uncaptured = make_steps(split, functions)
    return (
        cuda_graph_steps(uncaptured, cuda_graph_capture, print_line) if how.captured else uncaptured
    )


def dispatch_steps_by_level(steps: Mapping[int, Steps]) -> Steps:
    """Return steps that are executed in the way of their level."""
    return Steps(
        lambda state, run, position, rate, inputs: steps[position.level].discriminator(
            state, run, position, rate, inputs
        ),
        lambda state, run, position, rate, inputs: steps[position.level].generator(
            state, run, position, rate, inputs
        ),
    )


def compile_functions(print_line: PrintLine) -> StepFunctions:
    """Compile the functions of a step, each as one graph with its gradient penalty.

    Args:
        print_line: Receives lines about the progress of compilation, or its failure.
    """
    set_up_compiler()
    compilation = Compilation(print_line)
    return StepFunctions(
        *(
            CompiledFunction(function, compilation, last=function is EAGER_FUNCTIONS.generator)
            for function in EAGER_FUNCTIONS
        )
    )


def _explain_no_compiler(device: torch.device) -> str:
    """Return why nothing can be compiled for a device; '' if it can."""
    if device.type == "cuda":
        from torch.utils._triton import has_triton

        return "" if has_triton() else "torch finds no Triton that works with this GPU"
    if device.type == "cpu":
        found = any(shutil.which(name) for name in ("g++", "clang++", "cl"))
        return "" if found else "no C++ compiler was found (g++ or clang++)"
    return f"torch compiles nothing for {device.type}"


def _explain_no_cuda_graphs(run: Run, device: torch.device, processes: int) -> str:
    """Return why steps cannot be captured; '' if they can."""
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    if processes > 1:
        return "steps of several processes are not captured"
    return "" if run.optim.optimizer == "adam" else "RMSProp counts its steps on the CPU"


PREFLIGHTS = {"cuda": "step"}  # by type of device; a real step on a CPU may take half a minute


class Execution(NamedTuple):
    """Steps of a training, and what was found out about them.

    Attributes:
        expected: Seconds per image by level, as measured or estimated by a preflight.
    """

    steps: Steps
    expected: Mapping[int, float]


def prepare_execution(
    run: Run,
    state: TrainState,
    device: torch.device,
    log: Log,
    group: Group,
    local_processes: int = 1,
) -> Execution:
    """Choose micro-batches and acceleration, and run the preflight that the run asks for.

    Args:
        local_processes: Processes that share this machine.
    """

    def report_of_machine(line: str) -> None:
        """Log a line; processes without a log print it, as each has its own memory."""
        if group.is_main:
            log(line)
        else:
            print(f"Process {group.rank}: {line}", file=sys.stderr, flush=True)

    micro_batches = MicroBatchSizes(run, report_of_machine)
    split = BatchSplit(micro_batches, group)
    default = PREFLIGHTS.get(device.type, "estimate")
    kind = default if run.preflight == "auto" else run.preflight
    expected, seconds = {}, None
    if kind != "none":
        preflight = Preflight(
            run=run, state=state, device=device, micro_batches=micro_batches,
            steps=make_steps(split), shard=Shard(group.rank, group.size),
            local_processes=local_processes if device.type == "cpu" else 1,
        )  # fmt: skip
        if costs := preflight(kind):
            log(costs_table(costs, run, kind, group.size))
            expected = {each.level: each.seconds_per_image for each in costs}
            seconds = total_seconds(costs)
    if note := cpu_note(run, device, seconds):
        log(note)
    how = choose_acceleration(run, device, group.size)
    return Execution(accelerate(how, log, split), expected)
