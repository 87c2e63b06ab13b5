"""Runs and stages that benchmarks measure, the cost of their training steps, and a stopwatch."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from progan import schedule
from progan.config import Run, override
from progan.runtime import devices
from progan.schedule import Stage
from progan.training.cuda_graph import WARM_UP_STEPS
from progan.training.memory import META, meta_inputs, meta_state
from progan.training.step import discriminator_step, generator_step
from progan.training.step_inputs import LevelAlpha

BLOCKS = 5  # each is timed as a whole, as training does not synchronise between iterations


def measure_seconds(
    work: Callable[[], object], device: torch.device, repetitions: int = 1
) -> float:
    """Return the seconds of some calls, with the device synchronised before and after."""
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(repetitions):
        work()
    devices.synchronize(device)
    return time.perf_counter() - start


def time_blocks(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Return the mean seconds of one call in each of BLOCKS blocks, after a warm-up."""
    for _ in range(WARM_UP_STEPS + 1):
        one = measure_seconds(work, device)
    count = max(round(seconds / BLOCKS / one), 1)
    return [measure_seconds(work, device, count) / count for _ in range(BLOCKS)]


def stages_by_resolution(run: Run) -> dict[int, Stage]:
    """Return the stages of a run by resolution, fully faded in."""
    return {
        phase.stage.resolution: phase.stage
        for phase in schedule.phases(run.growth, run.network)
        if not phase.stage.fading
    }


def stage_at(run: Run, resolution: int) -> Stage:
    """Return the stage of a run at one resolution, fully faded in."""
    return stages_by_resolution(run)[resolution]


def end_at_resolution(run: Run, resolution: int) -> Run:
    """Return the run with another final resolution."""
    initial = min(resolution, run.growth.initial_resolution)
    return override(run, {"resolution": resolution, "initial_resolution": initial})


def stay_at_resolution(run: Run, resolution: int) -> Run:
    """Return the run with one resolution only, practically without end."""
    return override(
        run, {"resolution": resolution, "total_kimg": 1e9, "initial_resolution": resolution}
    )


def with_variant(run: Run, variant: str) -> Run:
    """Return the run with acceleration and precision of a variant such as 'eager-graph-bf16'."""
    acceleration, precision = variant.rsplit("-", 1)
    return override(run, {"acceleration": acceleration, "precision": precision})


class ProductCounter(TorchDispatchMode):
    """Count the FLOPs of convolutions and matrix products, and the elements they read and write.

    That is the least memory traffic: all other work fused into these operators.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
            self.elements += sum(
                x.numel() for x in tree_leaves((args, out)) if isinstance(x, Tensor)
            )
        return out


def step_cost(run: Run, stage: Stage) -> tuple[int, int]:
    """Return FLOPs and moved elements of an iteration, counted on tensors without data."""
    state = meta_state(run)
    discriminator, generator = meta_inputs(run, stage, stage.batch)
    position = LevelAlpha.of(stage, META)
    with ProductCounter() as products:
        for _ in range(run.growth.d_repeats):
            discriminator_step(state, run, position, stage.d_lr, discriminator)
        generator_step(state, run, position, stage.g_lr, generator)
    return products.flops, products.elements
