"""CUDA graphs: steps that are captured once they are warm, and then replayed.

At low resolutions a step consists of hundreds of operations that each take less time than it
takes to launch them; a graph launches all of them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_flatten, tree_unflatten

from progan.config import Run
from progan.errors import get_first_error_line
from progan.runtime.text import PrintLine
from progan.training.optim import Rate, capturable
from progan.training.state import TrainState
from progan.training.step import Statistics, Steps
from progan.training.step_inputs import DiscriminatorInputs, GeneratorInputs, LevelAlpha

# Before its capture a step creates the moments of its weights, and libraries choose algorithms and
# allocate workspaces.
WARM_UP_STEPS = 3

Step = Callable[..., Statistics]
_Key = tuple[str, bool]  # name of the optimizer, with gradient penalty


class CapturedGraph(NamedTuple):
    """Captured work: `replay` runs it again on the current content of its tensors."""

    replay: Callable[[], None]
    result: Tensor  # overwritten by each replay


class GraphCapture(Protocol):
    def __call__(self, work: Callable[[], Tensor]) -> CapturedGraph:
        """Capture the device operations of `work` without running them.

        Raises RuntimeError if `work` cannot be captured, e.g. because it waits for a number.
        """


def cuda_graph_capture() -> GraphCapture:
    """Return a graph capture with one memory pool; replay its graphs one at a time."""
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Callable[[], Tensor]) -> CapturedGraph:
        graph = torch.cuda.CUDAGraph()
        # Other threads read data meanwhile; only this one is captured.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = work()
        return CapturedGraph(graph.replay, result)

    return capture


@dataclass(slots=True)
class _Captured:
    """A step at one stage: its static inputs and its graph."""

    buffers: list[Tensor]  # inputs and alpha of the present step
    rate: Tensor  # 0-d
    calls: int = 0
    statistic_names: list[str] = field(default_factory=list)
    graph: CapturedGraph | None = None
    moments: Any = None  # moments of a weight, to notice when they are replaced


class _StaticInputs(NamedTuple):
    alpha: Tensor | None
    inputs: Any


def cuda_graph_steps(
    steps: Steps, make_capture: Callable[[], GraphCapture], print_line: PrintLine
) -> Steps:
    """Return `steps` as CUDA graphs, captured for each level, fade and batch size.

    Args:
        make_capture: Returns a capture for the steps of a stage.
        print_line: Receives one line if a step cannot be captured; `steps` are used from then on.
    """
    cache = _GraphCache(make_capture, print_line)
    return Steps(
        partial(cache.take, "d_optimizer", steps.discriminator),
        partial(cache.take, "g_optimizer", steps.generator),
    )


class _GraphCache:
    """The graphs of both steps at the present stage; of D's, with and without its penalty.

    All that changes from step to step is copied into buffers that the graph reads: images,
    latents, random numbers, alpha, learning rate. A graph is discarded when the optimizers were
    reset or the state was restored, which replaces their moments.
    """

    def __init__(self, make_capture: Callable[[], GraphCapture], print_line: PrintLine) -> None:
        self._make_capture, self._print_line = make_capture, print_line
        self._stage: object = None
        self._capture_work: GraphCapture | None = None
        self._steps: dict[_Key, _Captured] = {}
        self._usable = True

    def take(
        self,
        name: str,
        step: Step,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs | GeneratorInputs,
    ) -> Statistics:
        """Take a step of the optimizer `name`: warm it up, capture it, or replay its graph."""
        if not self._usable:
            return step(state, run, position, rate, inputs)
        optimizer = state.optimizers[name]
        captured, static = self._copy_inputs(name, state, position, rate, inputs)

        def work() -> Statistics:
            static_position = LevelAlpha(position.level, static.alpha)
            return step(state, run, static_position, captured.rate, static.inputs)

        captured.calls += 1
        try:
            if captured.calls <= WARM_UP_STEPS:
                return work()
            if captured.graph is None and not self._capture(captured, work, optimizer):
                return step(state, run, position, rate, inputs)
        finally:
            captured.moments = _first_moments(optimizer)
            optimizer.param_groups[0]["lr"] = rate  # checkpoints hold the number, not the buffer
        assert captured.graph is not None
        captured.graph.replay()
        values = captured.graph.result.clone().unbind()
        return dict(zip(captured.statistic_names, values, strict=True))

    def _copy_inputs(
        self,
        name: str,
        state: TrainState,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs | GeneratorInputs,
    ) -> tuple[_Captured, _StaticInputs]:
        """Copy the inputs of a step into its buffers; return the step and its static inputs."""
        leaves, form = tree_flatten((position.alpha, inputs))
        fresh = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        stage = (id(state), position.level, position.alpha is None, len(inputs.labels))
        # With lazy regularization, steps with and without the penalty have graphs of their own.
        key = (name, isinstance(inputs, DiscriminatorInputs) and inputs.with_penalty)
        captured = self._find(key, state.optimizers[name], stage)
        if captured is None:
            captured = self._steps[key] = _Captured(
                [leaf.clone() for leaf in fresh], torch.zeros((), device=inputs.labels.device)
            )
        else:
            torch._foreach_copy_(captured.buffers, fresh)
        captured.rate.fill_(rate)
        buffers = iter(captured.buffers)
        static = [next(buffers) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return captured, _StaticInputs(*tree_unflatten(static, form))

    def _find(self, key: _Key, optimizer: Optimizer, stage: object) -> _Captured | None:
        """Return the captured step at a stage; None if it is the first one there."""
        captured = self._steps.get(key)
        replaced = captured and _first_moments(optimizer) is not captured.moments
        if stage != self._stage or replaced:
            self._steps.clear()  # before others are captured, to free their memory
            self._stage, self._capture_work = stage, self._make_capture()
        return self._steps.get(key)

    def _capture(
        self, captured: _Captured, work: Callable[[], Statistics], optimizer: Optimizer
    ) -> bool:
        """Capture a step; return False, and report it, if that is impossible."""
        assert self._capture_work is not None

        def stacked_statistics() -> Tensor:
            statistics = work()
            captured.statistic_names = list(statistics)
            return torch.stack(list(statistics.values()))

        try:
            with capturable(optimizer):
                captured.graph = self._capture_work(stacked_statistics)
        except RuntimeError as error:
            self._usable = False
            self._steps.clear()
            self._print_line(
                f"A step cannot be captured as a CUDA graph ({get_first_error_line(error)}). "
                "Steps go on without graphs, with the same results."
            )
            return False
        return True


def _first_moments(optimizer: Optimizer) -> Any:
    """Return the moments of one weight; those of all weights are replaced together."""
    return next(iter(optimizer.state.values()), None)
