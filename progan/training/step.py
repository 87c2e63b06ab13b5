"""The two steps of an iteration: tensors in, an updated state and 0-d statistics out.

From top to bottom: what a step sees (the reals and all random numbers of the whole batch), the
losses as functions of the state that change nothing, and the steps that move the weights with the
`gradients` of these losses and an update of `optim`.

A step waits for nothing on its device and replaces no tensor of the state, so that it can be
recorded and replayed: what changes from step to step comes in tensors.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

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
from progan.objectives.penalties import GradientScale, final_norm_divisor
from progan.ops.precision import at_least_single
from progan.partition import turns
from progan.runtime.seeding import generator as stream
from progan.runtime.seeding import seeded
from progan.schedule import Stage
from progan.training.freezing import at_rest
from progan.training.gradients import (
    CRITIC,
    FULL_BATCH,
    GENERATOR,
    BatchSplit,
    Terms,
    scale_of,
    told,
    turn,
)
from progan.training.optim import Rate, clip_weights, learning, update
from progan.training.precision import lowered
from progan.training.state import AUGMENTATION, TrainState, update_average

Statistics = dict[str, Tensor]
TOGETHER: tuple[Only, ...] = ("both",)
SEPARATE: tuple[Only, ...] = ("real", "fake")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the networks a step works: what both of them take beside their input."""

    level: int
    alpha: Tensor | None  # 0-d on the device, so that its change recompiles nothing

    @classmethod
    def of(cls, stage: Stage, device: torch.device) -> "Place":
        # Filled on the device: torch.tensor would copy from the CPU, which waits for a GPU.
        alpha = torch.full((), stage.alpha, device=device) if stage.fading else None
        return cls(stage.level, alpha)


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


def fakes_of(state: TrainState, run: Run, place: Place, latents: Tensor, labels: Tensor
             ) -> Tensor:
    """What the generator draws: [N, C, H, W]."""
    with lowered(run, place.level, latents.device):
        images: Tensor = state.generator(latents, labels, place.level, place.alpha)
    return at_least_single(images)


def critic_loss(state: TrainState, run: Run, place: Place, only: Only, shown: Shown
                ) -> tuple[Tensor, Terms]:
    """The mean loss of the critic, 0-d, and its terms, [N] each."""
    return critic_terms(
        lambda images: judge(state, run, place, images), run.objective, reals=shown.reals,
        fakes=shown.fakes, labels=shown.labels, chances=shown.chances, dials=state.dials,
        only=only, turns=turns(run, len(shown.reals)),
        gradient_scale=GradientScale(
            scale_of(state.dials, CRITIC, run, place.level),
            final_norm_divisor(run.objective, run.network.max_level - place.level)))


def generator_loss(state: TrainState, run: Run, place: Place, inputs: GeneratorInputs
                   ) -> tuple[Tensor, Terms]:
    """The mean loss of the generator, 0-d, and its terms, [N] each."""
    fakes, reals = fakes_of(state, run, place, inputs.latents, inputs.labels), inputs.reals
    if inputs.augmentation:
        fakes = augmented(state, run, fakes, inputs.augmentation[1])
        reals = None if reals is None else augmented(state, run, reals, inputs.augmentation[0])
    return generator_terms(
        lambda images: judge(state, run, place, images), run.objective, fakes=fakes,
        labels=inputs.labels, reals=reals)


def augmented(state: TrainState, run: Run, images: Tensor, draws: Draws) -> Tensor:
    """What the critic sees of images [N, C, H, W]."""
    return augment(images, state.dials[AUGMENTATION], draws, run.augment)


def judge(state: TrainState, run: Run, place: Place, images: Tensor) -> Judgement:
    """What the critic says of images [N, C, H, W], disturbed if that is asked for."""
    noise = noise_strength(state.dials["confidence"]) if run.objective.adaptive_noise else None
    with lowered(run, place.level, images.device):
        judgement: Judgement = state.discriminator(images, place.level, place.alpha, noise)
    scores, logits, code = judgement
    return Judgement(at_least_single(scores), at_least_single(logits),
                     None if code is None else at_least_single(code))


class Losses(NamedTuple):
    """What costs the time of a step, as functions that change nothing and draw no random numbers,
    so that other code with the same results can take their place."""

    fakes: Callable[[TrainState, Run, Place, Tensor, Tensor], Tensor] = fakes_of
    critic: Callable[[TrainState, Run, Place, Only, Shown], tuple[Tensor, Terms]] = critic_loss
    generator: Callable[[TrainState, Run, Place, GeneratorInputs],
                        tuple[Tensor, Terms]] = generator_loss


PLAIN = Losses()


def critic_step(state: TrainState, run: Run, place: Place, rate: Rate, inputs: CriticInputs,
                split: BatchSplit = FULL_BATCH, losses: Losses = PLAIN) -> Statistics:
    """Update the critic, and then the average, which sees G from before its coming update."""
    shown = show(state, run, place, inputs, split, losses)
    statistics: Statistics = {}
    for only in SEPARATE if run.objective.separate_updates else TOGETHER:
        again = ("fake",) if only == "fake" else ()  # the second update of a step
        scale = scale_of(state.dials, CRITIC, run, place.level)

        def loss_of(part: Shown, only: Only = only, again: tuple[str, ...] = again
                    ) -> tuple[Tensor, Terms]:
            with _layers_draw(run, state, "critic's layers", *again, *part.part):
                return losses.critic(state, run, place, only, part)

        gradients, terms = split.gradients(run, place.level, loss_of, shown,
                                           learning(state.d_optimizer), scale)
        norm = update(state.d_optimizer, gradients, rate, run.optim.clip_gradients,
                      skips=scale is not None)
        statistics |= told(summary(run.objective, terms) | {"gradient/critic-weights": norm},
                           scale)
        if scale is not None:
            turn(state.dials[CRITIC], norm)
    clip_weights(state.discriminator, run.optim.clip_weights)
    update_average(state, run.optim.ema_decay)
    turn_dials(state, run, statistics)
    return statistics | {f"dials/{name}": value.clone() for name, value in state.dials.items()}


def show(state: TrainState, run: Run, place: Place, inputs: CriticInputs, split: BatchSplit,
         losses: Losses) -> Shown:
    """Draw the fakes, and augment them and the reals."""

    def fakes(part: CriticInputs) -> Tensor:
        images = losses.fakes(state, run, place, part.latents, part.labels)
        return augmented(state, run, images, part.augmentation[1]) if part.augmentation else images

    def reals(part: CriticInputs) -> Tensor:
        assert part.augmentation is not None
        return augmented(state, run, part.reals, part.augmentation[0])

    level = place.level
    return Shown(
        split.images(run, level, reals, inputs) if inputs.augmentation else inputs.reals,
        split.images(run, level, fakes, inputs), inputs.labels, inputs.chances, inputs.part)


def generator_step(state: TrainState, run: Run, place: Place, rate: Rate,
                   inputs: GeneratorInputs, split: BatchSplit = FULL_BATCH,
                   losses: Losses = PLAIN) -> Statistics:
    """Update the generator."""
    scale = scale_of(state.dials, GENERATOR, run, place.level)

    def loss_of(part: GeneratorInputs) -> tuple[Tensor, Terms]:
        with _layers_draw(run, state, "generator's layers", *part.part):
            return losses.generator(state, run, place, part)

    with at_rest(state.discriminator):
        gradients, terms = split.gradients(run, place.level, loss_of, inputs,
                                           learning(state.g_optimizer), scale)
    norm = update(state.g_optimizer, gradients, rate, run.optim.clip_gradients,
                  skips=scale is not None)
    if scale is not None:
        turn(state.dials[GENERATOR], norm)
    return told(summary(run.objective, terms) | {"gradient/generator-weights": norm}, scale)


def _layers_draw(run: Run, state: TrainState, name: str, *which: int | str
                 ) -> AbstractContextManager[None]:
    """The random numbers of the layers; where none draws any, torch's state costs no time."""
    if not run.random_layers:
        return nullcontext()
    device = next(state.discriminator.parameters()).device
    return seeded(device, run.seed, name, state.images_seen, *which)


def turn_dials(state: TrainState, run: Run, statistics: Statistics) -> None:
    """Move the numbers that follow from how the critic just did."""
    moved = turned(run.objective, state.dials, statistics["scores/real"],
                   statistics["scores/fake"])
    if run.augment.augment == "adaptive":
        moved[AUGMENTATION] = adapted(moved[AUGMENTATION], statistics["accuracy/real"],
                                      run.augment)
    for name, value in moved.items():
        state.dials[name].copy_(value)


class Steps(Protocol):
    """How both steps are taken."""

    def critic(self, state: TrainState, run: Run, place: Place, rate: Rate,
               inputs: CriticInputs) -> Statistics:
        """Update the critic and the average."""

    def generator(self, state: TrainState, run: Run, place: Place, rate: Rate,
                  inputs: GeneratorInputs) -> Statistics:
        """Update the generator."""


@dataclass(frozen=True, slots=True)
class PlainSteps:
    """Both steps, operation after operation."""

    split: BatchSplit = FULL_BATCH
    losses: Losses = PLAIN

    def critic(self, state: TrainState, run: Run, place: Place, rate: Rate,
               inputs: CriticInputs) -> Statistics:
        return critic_step(state, run, place, rate, inputs, self.split, self.losses)

    def generator(self, state: TrainState, run: Run, place: Place, rate: Rate,
                  inputs: GeneratorInputs) -> Statistics:
        return generator_step(state, run, place, rate, inputs, self.split, self.losses)


PLAIN_STEPS = PlainSteps()
