"""What a training step must compute and move, counted where tensors have shapes but no data."""

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from progan.config import Run
from progan.schedule import Stage
from progan.training.memory import META, meta_inputs, meta_state
from progan.training.step import discriminator_step, generator_step
from progan.training.step_inputs import LevelAlpha


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
    discriminator, generator = meta_inputs(run, stage, stage.batch)
    position = LevelAlpha.of(stage, META)
    with Products() as products:
        for _ in range(run.growth.d_repeats):
            discriminator_step(state, run, position, stage.d_lr, discriminator)
        generator_step(state, run, position, stage.g_lr, generator)
    return products.flops, products.elements
