"""CUDA graphs: steps that are captured once they are warm, and then replayed.

At low resolutions a step consists of hundreds of operations that each take less time than it
takes to launch them; a graph launches all of them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_flatten, tree_unflatten

from progan.config import Run
from progan.errors import first_line
from progan.runtime.cuda_prefetch import CapturedGraph, GraphCapture
from progan.training.optim import Rate, capturable
from progan.training.state import TrainState
from progan.training.step import DiscriminatorInputs, GeneratorInputs, LevelAlpha, Statistics, Steps

# Before it is recorded, a step makes the moments of its weights, and libraries choose algorithms
# and allocate workspaces.
WARM_UP_STEPS = 3

Step = Callable[..., Statistics]


@dataclass(slots=True)
class _Taken:
    """One of the two steps at one stage: what it reads, and its recording."""

    buffers: list[Tensor]  # inputs and mixing factor of the present step
    rate: Tensor  # 0-d
    times: int = 0
    names: list[str] = field(default_factory=list)  # of the statistics
    recording: CapturedGraph | None = None
    moments: Any = None  # of a weight, by which it is told whether they were replaced


class CudaGraphSteps:
    """Steps of `steps`, recorded anew for each level, fade and size of the batch.

    All that changes from step to step is copied into buffers that the recording reads: images,
    latents, random numbers, mixing factor, learning rate. A recording is thrown away when the
    optimizers were reset or the state was restored, which replaces their moments.

    Args:
        recorder: Returns a recorder for the two steps of a stage.
        report: Is told in one line if a step cannot be recorded; `steps` go on.
    """

    def __init__(
        self, steps: Steps, recorder: Callable[[], GraphCapture], report: Callable[[str], None]
    ) -> None:
        self._steps, self._recorder, self._report = steps, recorder, report
        self._stage: object = None
        self._record: GraphCapture | None = None
        self._taken: dict[str, _Taken] = {}
        self._recordable = True

    def discriminator(
        self,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs,
    ) -> Statistics:
        return self._take(
            "discriminator",
            self._steps.discriminator,
            state.d_optimizer,
            state,
            run,
            position,
            rate,
            inputs,
        )

    def generator(
        self, state: TrainState, run: Run, position: LevelAlpha, rate: Rate, inputs: GeneratorInputs
    ) -> Statistics:
        return self._take(
            "generator",
            self._steps.generator,
            state.g_optimizer,
            state,
            run,
            position,
            rate,
            inputs,
        )

    def _take(
        self,
        name: str,
        step: Step,
        optimizer: Optimizer,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs | GeneratorInputs,
    ) -> Statistics:
        if not self._recordable:
            return step(state, run, position, rate, inputs)
        taken, (alpha, own) = self._filled(name, optimizer, state, position, rate, inputs)

        def work() -> Statistics:
            return step(state, run, LevelAlpha(position.level, alpha), taken.rate, own)

        taken.times += 1
        try:
            if taken.times <= WARM_UP_STEPS:
                return work()
            if taken.recording is None and not self._recorded(taken, work, optimizer):
                return step(state, run, position, rate, inputs)
        finally:
            taken.moments = _moments(optimizer)
            optimizer.param_groups[0]["lr"] = rate  # a state holds the number, not the buffer
        assert taken.recording is not None
        taken.recording.replay()
        return dict(zip(taken.names, taken.recording.result.clone().unbind(), strict=True))

    def _filled(
        self,
        name: str,
        optimizer: Optimizer,
        state: TrainState,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs | GeneratorInputs,
    ) -> tuple[_Taken, Any]:
        """The step of this name, with its buffers filled, and mixing factor and inputs in them."""
        leaves, form = tree_flatten((position.alpha, inputs))
        fresh = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        taken = self._at(
            name, optimizer, (id(state), position.level, position.alpha is None, len(inputs.labels))
        )
        if taken is None:
            taken = self._taken[name] = _Taken(
                [leaf.clone() for leaf in fresh], torch.zeros((), device=inputs.labels.device)
            )
        else:
            torch._foreach_copy_(taken.buffers, fresh)
        taken.rate.fill_(rate)
        buffers = iter(taken.buffers)
        own = [next(buffers) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        return taken, tree_unflatten(own, form)

    def _at(self, name: str, optimizer: Optimizer, stage: object) -> _Taken | None:
        """What is known of a step at a stage; None if it is the first one there."""
        taken = self._taken.get(name)
        replaced = taken and _moments(optimizer) is not taken.moments
        if stage != self._stage or replaced:
            self._taken.clear()  # before others are recorded, for the sake of memory
            self._stage, self._record = stage, self._recorder()
        return self._taken.get(name)

    def _recorded(
        self, taken: _Taken, work: Callable[[], Statistics], optimizer: Optimizer
    ) -> bool:
        """Record a step; whether that can be done."""
        assert self._record is not None

        def values() -> Tensor:
            statistics = work()
            taken.names = list(statistics)
            return torch.stack(list(statistics.values()))

        try:
            with capturable(optimizer):
                taken.recording = self._record(values)
        except RuntimeError as error:
            self._recordable = False
            self._taken.clear()
            self._report(
                f"A step cannot be recorded as a CUDA graph ({first_line(error)}). "
                "Steps go on without graphs, with the same results."
            )
            return False
        return True


def _moments(optimizer: Optimizer) -> Any:
    """Those of one weight; all are replaced together."""
    return next(iter(optimizer.state.values()), None)
