"""The two steps of an iteration: tensors in, an updated state and 0-d statistics out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from progan.config import Run
from progan.data.loader import Batch
from progan.data.reals import process_reals
from progan.objectives import OBJECTIVES
from progan.runtime.seeding import generator as stream
from progan.schedule import Stage
from progan.training.optim import update
from progan.training.state import TrainState, update_average

Statistics = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the networks a step works: what both of them take beside their input."""

    level: int
    alpha: Tensor | None  # 0-d on the device, so that its change recompiles nothing

    @classmethod
    def of(cls, stage: Stage, device: torch.device) -> "Place":
        return cls(stage.level, torch.tensor(stage.alpha, device=device) if stage.fading else None)


@dataclass(frozen=True, slots=True)
class CriticInputs:
    """All that a critic step sees, with all its random numbers."""

    reals: Tensor  # [N, C, H, W] in [-1, 1]
    labels: Tensor  # [N, label_size]
    latents: Tensor  # [N, latent_size]
    mix: Tensor  # [N, 1, 1, 1] in [0, 1)


@dataclass(frozen=True, slots=True)
class GeneratorInputs:
    """All that a generator step sees, with all its random numbers."""

    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]


def critic_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> CriticInputs:
    """Prepare the reals and draw the random numbers of the critic step at `images_seen`."""
    n, device = len(batch.images), batch.images.device
    draw = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=draw, device=device)
    mix = torch.rand(n, 1, 1, 1, generator=draw, device=device)
    mirror = torch.rand(n, generator=draw, device=device) < 0.5 if run.data.mirror else None
    reals = process_reals(batch.images, mirror=mirror, alpha=place.alpha)
    return CriticInputs(reals, batch.labels, latents, mix)


def generator_inputs(run: Run, batch: Batch, images_seen: int) -> GeneratorInputs:
    """Draw the latents of the generator step at `images_seen`; labels are those drawn for it."""
    n, device = len(batch.images), batch.images.device
    draw = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=draw, device=device)
    return GeneratorInputs(latents, batch.drawn_labels)


def critic_step(state: TrainState, run: Run, place: Place, rate: float,
                inputs: CriticInputs) -> Statistics:
    """Update the critic, and then the average, which sees G from before its coming update."""
    loss_of_critic, _ = OBJECTIVES[run.objective.objective]
    with torch.no_grad():
        fakes = state.generator(inputs.latents, inputs.labels, place.level, place.alpha)
    loss, statistics = loss_of_critic(
        lambda images: state.discriminator(images, place.level, place.alpha), run.objective,
        reals=inputs.reals, fakes=fakes, labels=inputs.labels, mix=inputs.mix)
    norm = update(state.d_optimizer, loss, rate)
    update_average(state, run.optim.ema_decay)
    return statistics | {"loss/critic": loss.detach(), "gradient/critic-weights": norm}


def generator_step(state: TrainState, run: Run, place: Place, rate: float,
                   inputs: GeneratorInputs) -> Statistics:
    """Update the generator."""
    _, loss_of_generator = OBJECTIVES[run.objective.objective]
    fakes = state.generator(inputs.latents, inputs.labels, place.level, place.alpha)
    loss, statistics = loss_of_generator(
        lambda images: state.discriminator(images, place.level, place.alpha), run.objective,
        fakes=fakes, labels=inputs.labels)
    norm = update(state.g_optimizer, loss, rate)
    return statistics | {"loss/generator": loss.detach(), "gradient/generator-weights": norm}
