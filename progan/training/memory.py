"""Memory estimate of a training step, from shapes alone."""

import copy
import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from progan import networks
from progan.augment import draw_augment_noise
from progan.config import Run
from progan.losses import LOSSES, draw_loss_noise
from progan.schedule import Stage
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.optim import freeze_highest_levels, trainable_parameters
from progan.training.state import TrainState, initial_controllers
from progan.training.step import discriminator_step, generator_step
from progan.training.step_inputs import (
    AugmentNoisePair,
    DiscriminatorInputs,
    GeneratorInputs,
    LevelAlpha,
)

META = torch.device("meta")  # tensors with shapes, without data
FLOAT_BYTES = 4


def estimate_step_bytes(run: Run, stage: Stage, processes: int = 1, micro_batch: int = 0) -> int:
    """Estimate the peak bytes of tensors during an iteration at `stage`.

    The steps run on meta tensors, whose lifetimes are tracked. Weights, g_ema and Adam's moments
    are added. Workspaces of the libraries and the process itself are not included. The result is
    about 1 % above that of torch's MemTracker, in float32 and half precision (docs/log.md).

    Args:
        processes: Number of processes that share the batch.
        micro_batch: Maximum images of the batch computed at once; 0: all.
    """
    state, n = meta_state(run), stage.batch // processes
    position = LevelAlpha.of(stage, META)
    micro_batches = MicroBatchSizes(run, lambda line: None)
    micro_batches.limit(stage.level, micro_batch)
    split = BatchSplit(micro_batches)
    with PeakMemoryTracker() as tracker:
        d_inputs, g_inputs = meta_inputs(run, stage, n)
        generator_step(state, run, position, stage.g_lr, g_inputs, split)
        discriminator_step(state, run, position, stage.d_lr, d_inputs, split)
    g, d = count_parameters(state.generator), count_parameters(state.discriminator)
    moments = 2 * (g + sum(weight.numel() for weight in trainable_parameters(state.d_optimizer)))
    resident: int = FLOAT_BYTES * (2 * g + d + moments)  # 2: weights and g_ema
    peak: int = tracker.peak
    return resident + peak


def meta_state(run: Run) -> TrainState:
    """Create the state of a run on the meta device; its optimizers (SGD) have no moments."""
    with META:
        generator = networks.build_generator(run.network)
        discriminator = networks.build_discriminator(run.network)
        controllers = {
            name: torch.tensor(value) for name, value in initial_controllers(run).items()
        }
    freeze_highest_levels(discriminator, run.optim.freeze_d)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        g_ema=copy.deepcopy(generator).requires_grad_(False),
        g_optimizer=torch.optim.SGD(generator.parameters(), foreach=False),
        d_optimizer=torch.optim.SGD(discriminator.parameters(), foreach=False),
        controllers=controllers,
    )


def meta_inputs(run: Run, stage: Stage, n: int) -> tuple[DiscriminatorInputs, GeneratorInputs]:
    """Create inputs of both steps on the meta device."""
    random, network = torch.Generator(), run.network
    shape = (n, network.channels, *network.size(stage.level))
    loss_noise = draw_loss_noise(run.loss, torch.Size(shape), random)
    augment_noise = (
        None
        if run.augment.augment == "none"
        else AugmentNoisePair(*(draw_augment_noise(run.augment, n, random),) * 2)
    )
    with META:
        reals, latents = torch.empty(shape), torch.empty(n, network.latent_size)
        labels = torch.empty(n, network.label_size)
    loss_noise, augment_noise = tree_map_only(
        Tensor, lambda x: x.to(META), (loss_noise, augment_noise)
    )
    paired = LOSSES[run.loss.objective].paired
    return (
        DiscriminatorInputs(reals, labels, latents, loss_noise, augment_noise),
        GeneratorInputs(latents, labels, reals if paired else None, augment_noise),
    )


def count_parameters(network: nn.Module) -> int:
    """Return the number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())


class PeakMemoryTracker(TorchDispatchMode):
    """Tracks the bytes of live tensors that are created in its context, and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._storages = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._add, out)
        return out

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._storages:
            self._storages[storage] = True
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, storage.nbytes())

    def _remove(self, num_bytes: int) -> None:
        self.live -= num_bytes
