"""The two steps of an iteration: tensors in, an updated state and 0-d statistics out."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from progan.augment import Draws, adapted, augment
from progan.augment import draw as draw_augmentation
from progan.config import Run
from progan.data.loader import Batch
from progan.data.reals import process_reals
from progan.networks import Judgement
from progan.objectives import OBJECTIVES, Chances, Only, critic_loss, draw, generator_loss
from progan.objectives.dials import turned
from progan.objectives.least_squares import noise_strength
from progan.runtime.seeding import generator as stream
from progan.runtime.seeding import seeded
from progan.schedule import Stage
from progan.training.optim import clip_weights, update
from progan.training.state import AUGMENTATION, TrainState, update_average

Statistics = dict[str, Tensor]
TOGETHER: tuple[Only, ...] = ("both",)
SEPARATE: tuple[Only, ...] = ("real", "fake")


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
    chances: Chances
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes


@dataclass(frozen=True, slots=True)
class GeneratorInputs:
    """All that a generator step sees, with all its random numbers."""

    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]
    reals: Tensor | None = None  # [N, C, H, W], for objectives that compare with them
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes


def critic_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> CriticInputs:
    """Prepare the reals and draw the random numbers of the critic step at `images_seen`."""
    n, device = len(batch.images), batch.images.device
    random = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    chances = draw(run.objective, batch.images.permute(0, 3, 1, 2).shape, random)
    reals = _reals(run, batch, place, random)
    return CriticInputs(reals, batch.labels, latents, chances, _augmentation(run, n, random))


def generator_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> GeneratorInputs:
    """Draw the latents of the generator step at `images_seen`; labels are those drawn for it."""
    n, device = len(batch.images), batch.images.device
    random = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    reals = _reals(run, batch, place, random) if OBJECTIVES[run.objective.objective].paired else (
        None)
    return GeneratorInputs(latents, batch.drawn_labels, reals, _augmentation(run, n, random))


def _reals(run: Run, batch: Batch, place: Place, random: torch.Generator) -> Tensor:
    mirror = torch.rand(len(batch.images), generator=random, device=random.device) < 0.5 if (
        run.data.mirror) else None
    return process_reals(batch.images, mirror=mirror, alpha=place.alpha)


def _augmentation(run: Run, n: int, random: torch.Generator) -> tuple[Draws, Draws] | None:
    if run.augment.augment == "none":
        return None
    return draw_augmentation(run.augment, n, random), draw_augmentation(run.augment, n, random)


def critic_step(state: TrainState, run: Run, place: Place, rate: float,
                inputs: CriticInputs) -> Statistics:
    """Update the critic, and then the average, which sees G from before its coming update."""
    with torch.no_grad():
        fakes = state.generator(inputs.latents, inputs.labels, place.level, place.alpha)
    reals = inputs.reals
    if inputs.augmentation:
        reals = augmented(state, run, reals, inputs.augmentation[0])
        fakes = augmented(state, run, fakes, inputs.augmentation[1])
    statistics: Statistics = {}
    with _layers_draw(run, fakes.device, "critic's layers", state.images_seen):
        for only in SEPARATE if run.objective.separate_updates else TOGETHER:
            loss, parts = critic_loss(
                lambda images: judge(state, run, place, images), run.objective,
                reals=reals, fakes=fakes, labels=inputs.labels, chances=inputs.chances,
                dials=state.dials, only=only)
            norm = update(state.d_optimizer, loss, rate, run.optim.clip_gradients)
            statistics |= parts | {"gradient/critic-weights": norm}
    clip_weights(state.discriminator, run.optim.clip_weights)
    update_average(state, run.optim.ema_decay)
    turn_dials(state, run, statistics)
    return statistics | {f"dials/{name}": value for name, value in state.dials.items()}


def generator_step(state: TrainState, run: Run, place: Place, rate: float,
                   inputs: GeneratorInputs) -> Statistics:
    """Update the generator."""
    fakes = state.generator(inputs.latents, inputs.labels, place.level, place.alpha)
    reals = inputs.reals
    if inputs.augmentation:
        fakes = augmented(state, run, fakes, inputs.augmentation[1])
        reals = None if reals is None else augmented(state, run, reals, inputs.augmentation[0])
    with _layers_draw(run, fakes.device, "generator's layers", state.images_seen):
        loss, statistics = generator_loss(
            lambda images: judge(state, run, place, images), run.objective, fakes=fakes,
            labels=inputs.labels, reals=reals)
        norm = update(state.g_optimizer, loss, rate, run.optim.clip_gradients)
    return statistics | {"loss/generator": loss.detach(), "gradient/generator-weights": norm}


def _layers_draw(run: Run, device: torch.device, name: str, images_seen: int
                 ) -> AbstractContextManager[None]:
    """The random numbers of the layers; where none draws any, torch's state costs no time."""
    return seeded(device, run.seed, name, images_seen) if run.random_layers else nullcontext()


def augmented(state: TrainState, run: Run, images: Tensor, draws: Draws) -> Tensor:
    """What the critic sees of images [N, C, H, W]."""
    return augment(images, state.dials[AUGMENTATION], draws, run.augment)


def turn_dials(state: TrainState, run: Run, statistics: Statistics) -> None:
    """Move the numbers that follow from how the critic just did."""
    state.dials |= turned(run.objective, state.dials, statistics["scores/real"],
                          statistics["scores/fake"])
    if run.augment.augment == "adaptive":
        state.dials[AUGMENTATION] = adapted(state.dials[AUGMENTATION],
                                            statistics["accuracy/real"], run.augment)


def judge(state: TrainState, run: Run, place: Place, images: Tensor) -> Judgement:
    """What the critic says of images [N, C, H, W], disturbed if that is asked for."""
    noise = noise_strength(state.dials["confidence"]) if run.objective.adaptive_noise else None
    judgement: Judgement = state.discriminator(images, place.level, place.alpha, noise)
    return judgement
