"""Runs and stages that benchmarks measure; what a training step computes and moves."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from progan import schedule
from progan.config import Run, override
from progan.schedule import Stage
from progan.training.memory import META, inputs_without_data, meta_state
from progan.training.step import LevelAlpha, discriminator_step, generator_step


def stages_by_resolution(run: Run) -> dict[int, Stage]:
    """The stages of a run by resolution, fully faded in."""
    return {
        phase.stage.resolution: phase.stage
        for phase in schedule.phases(run.growth, run.network)
        if not phase.stage.fading
    }


def stage_at(run: Run, resolution: int) -> Stage:
    """The stage of a run at one resolution, fully faded in."""
    return stages_by_resolution(run)[resolution]


def end_at_resolution(run: Run, resolution: int) -> Run:
    """A run of the same kind that ends at another resolution."""
    return override(
        run,
        {
            "resolution": resolution,
            "initial_resolution": min(resolution, run.growth.initial_resolution),
        },
    )


def stay_at_resolution(run: Run, resolution: int) -> Run:
    """A run that stays at one resolution for as long as anybody measures."""
    return override(
        run, {"resolution": resolution, "total_kimg": 1e9, "initial_resolution": resolution}
    )


def with_variant(run: Run, way: str) -> Run:
    """A run computed in a way such as 'eager-graph-bf16': acceleration and precision."""
    acceleration, precision = way.rsplit("-", 1)
    return override(run, {"acceleration": acceleration, "precision": precision})


class Products(TorchDispatchMode):
    """Counts the operations of convolutions and matrix products, and the elements that these
    read and write: what remains to be moved where all other work is fused into theirs."""

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
    """Floating-point operations of an iteration, and the elements that their operators move."""
    state = meta_state(run)
    critic, generator = inputs_without_data(run, stage, stage.batch)
    position = LevelAlpha.of(stage, META)
    with Products() as products:
        for _ in range(run.growth.d_repeats):
            discriminator_step(state, run, position, stage.d_lr, critic)
        generator_step(state, run, position, stage.g_lr, generator)
    return products.flops, products.elements
