"""All that moves during training, in one place; everything else is config or derived from it."""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from progan import networks
from progan.config import Run
from progan.losses import terms as dials
from progan.networks import Discriminator, Generator
from progan.networks.layers import Equalized
from progan.runtime.seeding import torch_generator as stream
from progan.schedule import Stage
from progan.training.gradients import initial_loss_scales
from progan.training.meter import StatSums
from progan.training.optim import freeze, optimizer, reset

AUGMENTATION = "augmentation"  # controller: the probability of augmentation


@dataclass(slots=True)
class TrainState:
    """What a checkpoint holds. `images_seen` is the only clock."""

    generator: Generator
    discriminator: Discriminator
    average: Generator  # moving average of `generator`, the one that makes the pictures
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    controllers: dict[str, Tensor] = field(default_factory=dict)  # 0-d, on the device, by name
    images_seen: int = 0  # real images shown to the discriminator
    round_images_seen: int = 0  # at the beginning of the present round
    phase: int = 0  # of the schedule, for which the optimizers were last reset
    tick: int = 0  # finished ticks
    tick_images_seen: int = 0  # at the end of the last tick
    seconds: float = 0.0  # spent on training
    rollbacks: int = 0  # how often the guard went back to an earlier state
    tally: StatSums = field(default_factory=StatSums)  # of the steps since the last tick

    @property
    def kimg(self) -> float:
        return self.images_seen / 1000


def create(run: Run, device: torch.device) -> TrainState:
    """Return the state of a run before its first step."""
    generator = networks.generator(run.network)
    discriminator = networks.discriminator(run.network)
    initialize(generator, run.seed, "generator")
    initialize(discriminator, run.seed, "discriminator")
    freeze(discriminator, run.optim.freeze_d)
    generator.to(device)
    discriminator.to(device)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        average=copy.deepcopy(generator).requires_grad_(False).eval(),
        g_optimizer=optimizer(generator.parameters(), run.optim),
        d_optimizer=optimizer(discriminator.parameters(), run.optim),
        controllers={
            name: torch.tensor(value, device=device)
            for name, value in initial_controllers(run).items()
        },
    )


def initial_controllers(run: Run) -> dict[str, float]:
    """The numbers that training moves itself, as they are at the start."""
    augmentation = {} if run.augment.augment == "none" else {AUGMENTATION: run.augment.augment_p}
    return dials.initial(run.objective) | augmentation | initial_loss_scales(run)


def initialize(network: Generator | Discriminator, seed: int, role: str) -> None:
    """Draw all weights; each layer has a random stream of its own, named after it."""
    for name, layer in network.named_modules():
        if isinstance(layer, Equalized):
            layer.initialize(
                stream("cpu", seed, "weights", role, name), network.config.weight_stddev
            )


def enter_phase(state: TrainState, stage: Stage, run: Run) -> None:
    """Reset the optimizers where a fade starts or ends."""
    if stage.phase != state.phase and run.optim.reset_optimizers:
        reset(state.g_optimizer)
        reset(state.d_optimizer)
    state.phase = stage.phase


@torch.no_grad()
def update_average(state: TrainState, decay: float) -> None:
    """average <- decay * average + (1 - decay) * generator.

    The statistics of batch normalisation are copied. Averaged, they would remember for long the
    variance of 1 that they are born with, beside which that of young features is nothing.
    """
    mix = get_ema_multi_avg_fn(decay)
    mix(list(state.average.parameters()), list(state.generator.parameters()), 0)
    for ours, theirs in zip(state.average.buffers(), state.generator.buffers(), strict=True):
        ours.copy_(theirs)
