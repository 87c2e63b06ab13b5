"""Sums of the statistics since the last tick, and speed."""

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from progan import networks
from progan.config import Run
from progan.losses.terms import initial_loss_controllers
from progan.networks import Discriminator, Generator
from progan.networks.layers import EqualizedLayer
from progan.runtime.seeding import torch_generator as stream
from progan.schedule import Stage
from progan.training.optim import (
    build_optimizer,
    freeze_highest_levels,
    lazy_correction,
    reset_optimizer,
)
from progan.training.precision import initial_loss_scales


@dataclass(slots=True)
class StatSums:
    """Sums of the statistics since the last tick; checkpoints between two ticks contain them."""

    sums: dict[str, Tensor] = field(default_factory=dict)  # 0-d, on the device
    counts: dict[str, int] = field(default_factory=dict)


class StepStats:
    """Sums 0-d statistics on their device, and reads them only once per tick."""

    def __init__(self, stats: StatSums | None = None) -> None:
        self._stats = StatSums() if stats is None else stats
        self._images = 0
        self._start = time.perf_counter()

    def add(self, statistics: Mapping[str, Tensor], images: int = 0) -> None:
        """Add the statistics of a step, and the number of its images."""
        sums, counts = self._stats.sums, self._stats.counts
        known = [name for name in statistics if name in sums]
        sums |= {name: value for name, value in statistics.items() if name not in sums}
        if known:
            totals = torch._foreach_add(
                [sums[name] for name in known], [statistics[name] for name in known]
            )
            sums |= zip(known, totals, strict=True)
        for name in statistics:
            counts[name] = counts.get(name, 0) + 1
        self._images += images

    @property
    def seconds(self) -> float:
        """Seconds since the last `restart`."""
        return time.perf_counter() - self._start

    def means(self) -> dict[str, float]:
        """Return the mean of each statistic over its steps; waits for the device."""
        sums, counts = self._stats.sums, self._stats.counts
        names = sorted(sums)
        totals = torch.stack([sums[name] for name in names]).tolist() if names else []
        return {name: total / counts[name] for name, total in zip(names, totals, strict=True)}

    def take(self) -> tuple[dict[str, float], int, float]:
        """Return and reset the means; also return images and seconds since the last `restart`."""
        means = self.means()
        self._stats.sums.clear()
        self._stats.counts.clear()
        return means, self._images, self.seconds

    def restart(self) -> None:
        """Start the next tick; the time between `take` and here is not counted."""
        self._images = 0
        self._start = time.perf_counter()


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
    phase: int = 0  # phase of the schedule for which the optimizers were last reset
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
    return TrainState(
        generator=generator,
        discriminator=discriminator,
        g_ema=copy.deepcopy(generator).requires_grad_(False).eval(),
        g_optimizer=build_optimizer(generator.parameters(), run.optim),
        d_optimizer=build_optimizer(
            discriminator.parameters(), run.optim, lazy_correction(run.objective.penalty_interval)
        ),
        controllers={
            name: torch.tensor(value, device=device)
            for name, value in initial_controllers(run).items()
        },
    )


def initial_controllers(run: Run) -> dict[str, float]:
    """Return the initial values of the controllers: numbers that training adjusts itself."""
    augment_p = {} if run.augment.augment == "none" else {AUGMENT_P: run.augment.augment_p}
    return initial_loss_controllers(run.objective) | augment_p | initial_loss_scales(run)


def initialize(network: Generator | Discriminator, seed: int, role: str) -> None:
    """Draw all weights; each layer has a random stream of its own, named after it."""
    for name, layer in network.named_modules():
        if isinstance(layer, EqualizedLayer):
            layer.initialize(
                stream("cpu", seed, "weights", role, name), network.config.weight_stddev
            )


def enter_phase(state: TrainState, stage: Stage, run: Run) -> None:
    """Reset the optimizers where a fade starts or ends."""
    if stage.phase != state.phase and run.optim.reset_optimizers:
        reset_optimizer(state.g_optimizer)
        reset_optimizer(state.d_optimizer)
    state.phase = stage.phase


@torch.no_grad()
def update_g_ema(state: TrainState, decay: float) -> None:
    """g_ema <- decay * g_ema + (1 - decay) * generator.

    The statistics of batch normalisation are copied: averaged, they would keep for long their
    initial variance of 1, far above that of young features.
    """
    update = get_ema_multi_avg_fn(decay)
    update(list(state.g_ema.parameters()), list(state.generator.parameters()), 0)
    for ema, current in zip(state.g_ema.buffers(), state.generator.buffers(), strict=True):
        ema.copy_(current)
