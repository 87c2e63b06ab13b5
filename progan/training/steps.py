"""The two steps of an iteration: tensors in, an updated state and 0-d statistics out."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.augment import Draws, adapted, augment
from progan.augment import draw as draw_augmentation
from progan.config import Run
from progan.data.loader import Batch
from progan.data.reals import process_reals
from progan.networks import Judgement
from progan.objectives import (
    OBJECTIVES,
    Chances,
    Only,
    critic_terms,
    draw,
    generator_terms,
    summary,
)
from progan.objectives.dials import turned
from progan.objectives.least_squares import noise_strength
from progan.runtime.seeding import generator as stream
from progan.runtime.seeding import seeded
from progan.schedule import Stage
from progan.training.optim import clip_weights, learning, update
from progan.training.passes import ALL_AT_ONCE, Passes, Terms
from progan.training.state import AUGMENTATION, TrainState, update_average

T = TypeVar("T")
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


class CriticInputs(NamedTuple):
    """All that a critic step sees, with all its random numbers."""

    reals: Tensor  # [N, C, H, W] in [-1, 1]
    labels: Tensor  # [N, label_size]
    latents: Tensor  # [N, latent_size]
    chances: Chances
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes
    part: tuple[int, ...] = ()  # of the batch; names the random streams of layers


class GeneratorInputs(NamedTuple):
    """All that a generator step sees, with all its random numbers."""

    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]
    reals: Tensor | None = None  # [N, C, H, W], for objectives that compare with them
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes
    part: tuple[int, ...] = ()  # of the batch; names the random streams of layers


class Shown(NamedTuple):
    """What the critic is shown in its step."""

    reals: Tensor  # [N, C, H, W]
    fakes: Tensor  # [N, C, H, W]
    labels: Tensor  # [N, label_size]
    chances: Chances
    part: tuple[int, ...]


def critic_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> CriticInputs:
    """Prepare the reals and draw the random numbers of the critic step at `images_seen`.

    They are drawn for the whole batch, whatever part of it this process has.
    """
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    shape = batch.images.permute(0, 3, 1, 2).shape[1:]
    chances = draw(run.objective, torch.Size((n, *shape)), random)
    mirror = _mirror(run, n, random)
    own = _own(batch, (latents, chances, mirror, _augmentation(run, n, random)))
    latents, chances, mirror, augmentation = own
    return CriticInputs(_reals(batch, place, mirror), batch.labels, latents, chances, augmentation,
                        _part(batch))


def generator_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> GeneratorInputs:
    """Draw the latents of the generator step at `images_seen`; labels are those drawn for it."""
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    paired = OBJECTIVES[run.objective.objective].paired
    mirror = _mirror(run, n, random) if paired else None
    latents, mirror, augmentation = _own(batch, (latents, mirror, _augmentation(run, n, random)))
    reals = _reals(batch, place, mirror) if paired else None
    return GeneratorInputs(latents, batch.drawn_labels, reals, augmentation, _part(batch))


def _own(batch: Batch, drawn: T) -> T:
    """Of what was drawn for the whole batch, the rows of the images that this process has."""
    if batch.rows is None:
        return drawn
    own: T = tree_map_only(Tensor, lambda tensor: tensor[batch.rows], drawn)
    return own


def _part(batch: Batch) -> tuple[int, ...]:
    return (batch.share.number,) if batch.share.of > 1 else ()


def _mirror(run: Run, n: int, random: torch.Generator) -> Tensor | None:
    return torch.rand(n, generator=random, device=random.device) < 0.5 if run.data.mirror else None


def _reals(batch: Batch, place: Place, mirror: Tensor | None) -> Tensor:
    return process_reals(batch.images, mirror=mirror, alpha=place.alpha)


def _augmentation(run: Run, n: int, random: torch.Generator) -> tuple[Draws, Draws] | None:
    if run.augment.augment == "none":
        return None
    return draw_augmentation(run.augment, n, random), draw_augmentation(run.augment, n, random)


def critic_step(state: TrainState, run: Run, place: Place, rate: float, inputs: CriticInputs,
                passes: Passes = ALL_AT_ONCE) -> Statistics:
    """Update the critic, and then the average, which sees G from before its coming update."""
    shown = show(state, run, place, inputs, passes)
    statistics: Statistics = {}
    for only in SEPARATE if run.objective.separate_updates else TOGETHER:
        gradients, terms = passes.gradients(
            partial(_critic_terms, state, run, place, only), shown, learning(state.d_optimizer))
        norm = update(state.d_optimizer, gradients, rate, run.optim.clip_gradients)
        statistics |= summary(run.objective, terms) | {"gradient/critic-weights": norm}
    clip_weights(state.discriminator, run.optim.clip_weights)
    update_average(state, run.optim.ema_decay)
    turn_dials(state, run, statistics)
    return statistics | {f"dials/{name}": value for name, value in state.dials.items()}


def show(state: TrainState, run: Run, place: Place, inputs: CriticInputs, passes: Passes) -> Shown:
    """Draw the fakes, and augment them and the reals."""

    def fakes(part: CriticInputs) -> Tensor:
        images: Tensor = state.generator(part.latents, part.labels, place.level, place.alpha)
        return augmented(state, run, images, part.augmentation[1]) if part.augmentation else images

    def reals(part: CriticInputs) -> Tensor:
        assert part.augmentation is not None
        return augmented(state, run, part.reals, part.augmentation[0])

    return Shown(passes.images(reals, inputs) if inputs.augmentation else inputs.reals,
                 passes.images(fakes, inputs), inputs.labels, inputs.chances, inputs.part)


def _critic_terms(state: TrainState, run: Run, place: Place, only: Only, shown: Shown
                  ) -> tuple[Tensor, Terms]:
    again = ("fake",) if only == "fake" else ()  # the second update of a step
    with _layers_draw(run, state, "critic's layers", *again, *shown.part):
        return critic_terms(
            lambda images: judge(state, run, place, images), run.objective, reals=shown.reals,
            fakes=shown.fakes, labels=shown.labels, chances=shown.chances, dials=state.dials,
            only=only)


def generator_step(state: TrainState, run: Run, place: Place, rate: float,
                   inputs: GeneratorInputs, passes: Passes = ALL_AT_ONCE) -> Statistics:
    """Update the generator."""
    gradients, terms = passes.gradients(
        partial(_generator_terms, state, run, place), inputs, learning(state.g_optimizer))
    norm = update(state.g_optimizer, gradients, rate, run.optim.clip_gradients)
    return summary(run.objective, terms) | {"gradient/generator-weights": norm}


def _generator_terms(state: TrainState, run: Run, place: Place, inputs: GeneratorInputs
                     ) -> tuple[Tensor, Terms]:
    fakes = state.generator(inputs.latents, inputs.labels, place.level, place.alpha)
    reals = inputs.reals
    if inputs.augmentation:
        fakes = augmented(state, run, fakes, inputs.augmentation[1])
        reals = None if reals is None else augmented(state, run, reals, inputs.augmentation[0])
    with _layers_draw(run, state, "generator's layers", *inputs.part):
        return generator_terms(
            lambda images: judge(state, run, place, images), run.objective, fakes=fakes,
            labels=inputs.labels, reals=reals)


def _layers_draw(run: Run, state: TrainState, name: str, *which: int | str
                 ) -> AbstractContextManager[None]:
    """The random numbers of the layers; where none draws any, torch's state costs no time."""
    if not run.random_layers:
        return nullcontext()
    device = next(state.discriminator.parameters()).device
    return seeded(device, run.seed, name, state.images_seen, *which)


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
