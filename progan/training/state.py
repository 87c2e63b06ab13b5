"""All that moves during training, in one place; everything else is config or derived from it."""

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from progan.config import Run
from progan.networks import Discriminator, Generator
from progan.networks.layers import Equalized
from progan.runtime.seeding import generator as stream
from progan.schedule import Stage
from progan.training.optim import adam, reset


@dataclass(slots=True)
class TrainState:
    """What a checkpoint holds. `images_seen` is the only clock."""

    generator: Generator
    discriminator: Discriminator
    average: Generator  # moving average of `generator`, the one that makes the pictures
    g_optimizer: torch.optim.Adam
    d_optimizer: torch.optim.Adam
    images_seen: int = 0  # real images shown to the critic
    phase: int = 0  # of the schedule, for which the optimizers were last reset
    tick: int = 0  # finished ticks
    tick_images_seen: int = 0  # at the end of the last tick
    seconds: float = 0.0  # spent on training

    @property
    def kimg(self) -> float:
        return self.images_seen / 1000


def create(run: Run, device: torch.device) -> TrainState:
    """Return the state of a run before its first step."""
    generator = Generator(run.network)
    discriminator = Discriminator(run.network)
    initialize(generator, run.seed, "generator")
    initialize(discriminator, run.seed, "discriminator")
    generator.to(device)
    discriminator.to(device)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        average=copy.deepcopy(generator).requires_grad_(False),
        g_optimizer=adam(generator.parameters(), run.optim),
        d_optimizer=adam(discriminator.parameters(), run.optim),
    )


def initialize(network: nn.Module, seed: int, role: str) -> None:
    """Draw all weights; each layer has a random stream of its own, named after it."""
    for name, layer in network.named_modules():
        if isinstance(layer, Equalized):
            layer.initialize(stream("cpu", seed, "weights", role, name))


def enter_phase(state: TrainState, stage: Stage, run: Run) -> None:
    """Reset Adam where a fade starts or ends."""
    if stage.phase != state.phase and run.optim.reset_optimizers:
        reset(state.g_optimizer)
        reset(state.d_optimizer)
    state.phase = stage.phase


@torch.no_grad()
def update_average(state: TrainState, decay: float) -> None:
    """average <- decay * average + (1 - decay) * generator."""
    mix = get_ema_multi_avg_fn(decay)
    mix(list(state.average.parameters()), list(state.generator.parameters()), 0)
