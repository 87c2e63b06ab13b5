"""How much memory a training step needs, found out without running it."""

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from progan import networks
from progan.augment import draw as draw_augmentation
from progan.config import Run
from progan.losses import OBJECTIVES, draw
from progan.schedule import Stage
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.optim import freeze, trainable_parameters
from progan.training.state import TrainState, initial_controllers
from progan.training.step import (
    DiscriminatorInputs,
    GeneratorInputs,
    LevelAlpha,
    discriminator_step,
    generator_step,
)

META = torch.device("meta")  # knows shapes, but holds no data
FLOAT_BYTES = 4


def step_bytes(run: Run, stage: Stage, share: int = 1, micro_batch: int = 0) -> int:
    """Peak bytes of the tensors that are alive during an iteration at `stage`.

    The steps of the training run on tensors without data, while every one of these is counted
    from birth to death. To that come weights, average and Adam's moments. Workspaces of the
    libraries and the process itself are not in it. Beside torch's own MemTracker it counts about
    1 % too much, in float32 and in half precision (docs/log.md).

    Args:
        share: The part of the batch that one process trains on is one in so many.
        micro_batch: Images that go through the networks at once; 0: all.
    """
    state, n = meta_state(run), stage.batch // share
    position = LevelAlpha.of(stage, META)
    micro_batches = MicroBatchSizes(run, lambda line: None)
    micro_batches.limit(stage.level, micro_batch)
    split = BatchSplit(micro_batches)
    with PeakMemoryTracker() as live:
        d_inputs, g_inputs = inputs_without_data(run, stage, n)
        generator_step(state, run, position, stage.g_lr, g_inputs, split)
        discriminator_step(state, run, position, stage.d_lr, d_inputs, split)
    g, d = count(state.generator), count(state.discriminator)
    moments = 2 * (g + sum(weight.numel() for weight in trainable_parameters(state.d_optimizer)))
    resident: int = FLOAT_BYTES * (2 * g + d + moments)  # 2: weights and average
    peak: int = live.peak
    return resident + peak


def meta_state(run: Run) -> TrainState:
    """The state of a run without data; its optimizers keep nothing."""
    with META:
        generator = networks.generator(run.network)
        discriminator = networks.discriminator(run.network)
        controllers = {
            name: torch.tensor(value) for name, value in initial_controllers(run).items()
        }
    freeze(discriminator, run.optim.freeze_d)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        average=copy.deepcopy(generator).requires_grad_(False),
        g_optimizer=torch.optim.SGD(generator.parameters(), foreach=False),
        d_optimizer=torch.optim.SGD(discriminator.parameters(), foreach=False),
        controllers=controllers,
    )


def inputs_without_data(
    run: Run, stage: Stage, n: int
) -> tuple[DiscriminatorInputs, GeneratorInputs]:
    """Make inputs of both steps without data."""
    random, network = torch.Generator(), run.network
    shape = (n, network.channels, *network.size(stage.level))
    chances = draw(run.objective, torch.Size(shape), random)
    augmentation = (
        None if run.augment.augment == "none" else (draw_augmentation(run.augment, n, random),) * 2
    )
    with META:
        reals, latents = torch.empty(shape), torch.empty(n, network.latent_size)
        labels = torch.empty(n, network.label_size)
    chances, augmentation = tree_map_only(Tensor, lambda x: x.to(META), (chances, augmentation))
    return (
        DiscriminatorInputs(reals, labels, latents, chances, augmentation),
        GeneratorInputs(
            latents,
            labels,
            reals if OBJECTIVES[run.objective.objective].paired else None,
            augmentation,
        ),
    )


def count(network: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())


class PeakMemoryTracker(TorchDispatchMode):
    """Counts the bytes of all tensors made inside of it that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._born, out)
        return out

    def _born(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known[storage] = True
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._died, storage.nbytes())

    def _died(self, num_bytes: int) -> None:
        self.live -= num_bytes
