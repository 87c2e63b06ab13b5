"""TrainState: everything that changes during training; the rest is config or derived from it."""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer

from progan import networks
from progan.config import Run
from progan.losses.terms import initial_loss_controllers
from progan.networks import Discriminator, Generator
from progan.networks.layers import EqualizedLayer
from progan.runtime.seeding import torch_generator as stream
from progan.training.optim import build_optimizer, compute_lazy_correction, freeze_highest_levels
from progan.training.precision import initial_loss_scales
from progan.training.step_stats import StatSums

AUGMENT_P = "augmentation"  # controller: the probability of augmentation; a name in files


@dataclass(slots=True)
class TrainState:
    """The content of a checkpoint. `images_seen` is the only clock."""

    generator: Generator
    discriminator: Discriminator
    g_ema: Generator  # moving average of `generator`; it makes the samples and snapshots
    g_optimizer: Optimizer
    d_optimizer: Optimizer
    controllers: dict[str, Tensor] = field(default_factory=dict)  # 0-d, on the device, by name
    images_seen: int = 0  # real images shown to the discriminator
    round_images_seen: int = 0  # at the beginning of the present round
    phase: int = 0  # phase of the schedule at the last step
    tick: int = 0  # finished ticks
    tick_images_seen: int = 0  # at the end of the last tick
    seconds: float = 0.0  # spent on training
    rollbacks: int = 0  # how often the guard restored an earlier state
    stat_sums: StatSums = field(default_factory=StatSums)  # statistics since the last tick

    @property
    def kimg(self) -> float:
        return self.images_seen / 1000

    @property
    def networks(self) -> dict[str, Generator | Discriminator]:
        """The networks by their names in files."""
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "average": self.g_ema,
        }

    @property
    def optimizers(self) -> dict[str, Optimizer]:
        """The optimizers by their names in files."""
        return {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}


def create_state(run: Run, device: torch.device) -> TrainState:
    """Return the state of a run before its first step."""
    generator = networks.build_generator(run.network)
    discriminator = networks.build_discriminator(run.network)
    initialize(generator, run.seed, "generator")
    initialize(discriminator, run.seed, "discriminator")
    freeze_highest_levels(discriminator, run.optim.freeze_d)
    generator.to(device)
    discriminator.to(device)
    correction = compute_lazy_correction(run.loss)
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        g_ema=copy.deepcopy(generator).requires_grad_(False).eval(),
        g_optimizer=build_optimizer(generator.parameters(), run.optim),
        d_optimizer=build_optimizer(discriminator.parameters(), run.optim, correction),
        controllers={
            name: torch.tensor(value, device=device)
            for name, value in initial_controllers(run).items()
        },
    )


def initial_controllers(run: Run) -> dict[str, float]:
    """Return the initial values of the controllers: numbers that training adjusts itself."""
    augment_p = {} if run.augment.augment == "none" else {AUGMENT_P: run.augment.augment_p}
    return initial_loss_controllers(run.loss) | augment_p | initial_loss_scales(run)


def initialize(network: Generator | Discriminator, seed: int, role: str) -> None:
    """Draw all weights; each layer has a random stream of its own, named after it."""
    for name, layer in network.named_modules():
        if isinstance(layer, EqualizedLayer):
            layer.initialize(
                stream("cpu", seed, "weights", role, name), network.config.weight_stddev
            )
