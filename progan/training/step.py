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

from progan.augment import Draws, augment, update_probability
from progan.augment import draw as draw_augmentation
from progan.batch_split import interleave_count
from progan.config import Run
from progan.data.loader import Batch, preprocess_reals
from progan.losses import OBJECTIVES, Chances, Only, critic_terms, draw, generator_terms, summary
from progan.losses.adversarial import noise_strength
from progan.losses.penalties import GradientScale, final_norm_divisor
from progan.losses.terms import updated_controllers
from progan.networks import DiscriminatorOutput
from progan.ops import upcast_half
from progan.runtime.seeding import forked_rng
from progan.runtime.seeding import torch_generator as stream
from progan.schedule import Stage
from progan.training.gradients import (
    DISCRIMINATOR,
    FULL_BATCH,
    GENERATOR,
    BatchSplit,
    Terms,
    mask_overflow,
    scale_of,
    update_scale,
)
from progan.training.optim import Rate, clip_weights, frozen, trainable_parameters, update
from progan.training.precision import autocast_for
from progan.training.state import AUGMENTATION, TrainState, update_average

Statistics = dict[str, Tensor]
TOGETHER: tuple[Only, ...] = ("both",)
SEPARATE: tuple[Only, ...] = ("real", "fake")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LevelAlpha:
    """Where in the networks a step works: what both of them take beside their input."""

    level: int
    alpha: Tensor | None  # 0-d on the device, so that its change recompiles nothing

    @classmethod
    def of(cls, stage: Stage, device: torch.device) -> "LevelAlpha":
        # Filled on the device: torch.tensor would copy from the CPU, which waits for a GPU.
        alpha = torch.full((), stage.alpha, device=device) if stage.fading else None
        return cls(stage.level, alpha)


class DiscriminatorInputs(NamedTuple):
    """All that a discriminator step sees, with all its random numbers."""

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


class DiscriminatorBatch(NamedTuple):
    """Reals and fakes that the discriminator judges in its step."""

    reals: Tensor  # [N, C, H, W]
    fakes: Tensor  # [N, C, H, W]
    labels: Tensor  # [N, label_size]
    chances: Chances
    part: tuple[int, ...]


def discriminator_inputs(
    run: Run, batch: Batch, position: LevelAlpha, images_seen: int
) -> DiscriminatorInputs:
    """Prepare the reals and draw the random numbers of the step at `images_seen`.

    They are drawn for the whole batch, whatever part of it this process has.
    """
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    shape = batch.images.permute(0, 3, 1, 2).shape[1:]
    chances = draw(run.objective, torch.Size((n, *shape)), random)
    mirror = _draw_mirror(run, n, random)
    own = _select_own_rows(batch, (latents, chances, mirror, _draw_augmentation(run, n, random)))
    latents, chances, mirror, augmentation = own
    reals = preprocess_reals(batch.images, mirror=mirror, alpha=position.alpha)
    return DiscriminatorInputs(reals, batch.labels, latents, chances, augmentation, _part_of(batch))


def generator_inputs(
    run: Run, batch: Batch, position: LevelAlpha, images_seen: int
) -> GeneratorInputs:
    """Draw the latents of the generator step at `images_seen`; labels are those drawn for it."""
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    paired = OBJECTIVES[run.objective.objective].paired
    mirror = _draw_mirror(run, n, random) if paired else None
    own = _select_own_rows(batch, (latents, mirror, _draw_augmentation(run, n, random)))
    latents, mirror, augmentation = own
    reals = preprocess_reals(batch.images, mirror=mirror, alpha=position.alpha) if paired else None
    return GeneratorInputs(latents, batch.drawn_labels, reals, augmentation, _part_of(batch))


def _select_own_rows(batch: Batch, drawn: T) -> T:
    """Select the rows of the images that this process has."""
    if batch.rows is None:
        return drawn
    own: T = tree_map_only(Tensor, lambda tensor: tensor[batch.rows], drawn)
    return own


def _part_of(batch: Batch) -> tuple[int, ...]:
    return (batch.share.number,) if batch.share.num_shards > 1 else ()


def _draw_mirror(run: Run, n: int, random: torch.Generator) -> Tensor | None:
    return torch.rand(n, generator=random, device=random.device) < 0.5 if run.data.mirror else None


def _draw_augmentation(run: Run, n: int, random: torch.Generator) -> tuple[Draws, Draws] | None:
    if run.augment.augment == "none":
        return None
    return draw_augmentation(run.augment, n, random), draw_augmentation(run.augment, n, random)


def generate_fakes(
    state: TrainState, run: Run, position: LevelAlpha, latents: Tensor, labels: Tensor
) -> Tensor:
    """Run the generator: [N, C, H, W]."""
    with autocast_for(run, position.level, latents.device):
        images: Tensor = state.generator(latents, labels, position.level, position.alpha)
    return upcast_half(images)


def discriminator_loss(
    state: TrainState, run: Run, position: LevelAlpha, only: Only, batch: DiscriminatorBatch
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the discriminator, 0-d, and its terms, [N] each."""
    return critic_terms(
        lambda images: run_discriminator(state, run, position, images),
        run.objective,
        reals=batch.reals,
        fakes=batch.fakes,
        labels=batch.labels,
        chances=batch.chances,
        dials=state.controllers,
        only=only,
        turns=interleave_count(run, len(batch.reals)),
        gradient_scale=GradientScale(
            scale_of(state.controllers, DISCRIMINATOR, run, position.level),
            final_norm_divisor(run.objective, run.network.max_level - position.level),
        ),
    )


def generator_loss(
    state: TrainState, run: Run, position: LevelAlpha, inputs: GeneratorInputs
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the generator, 0-d, and its terms, [N] each."""
    fakes = generate_fakes(state, run, position, inputs.latents, inputs.labels)
    reals = inputs.reals
    if inputs.augmentation:
        fakes = augment_images(state, run, fakes, inputs.augmentation[1])
        reals = None if reals is None else augment_images(state, run, reals, inputs.augmentation[0])
    return generator_terms(
        lambda images: run_discriminator(state, run, position, images),
        run.objective,
        fakes=fakes,
        labels=inputs.labels,
        reals=reals,
    )


def augment_images(state: TrainState, run: Run, images: Tensor, draws: Draws) -> Tensor:
    """Augment images [N, C, H, W], with the probability that training has reached."""
    return augment(images, state.controllers[AUGMENTATION], draws, run.augment)


def run_discriminator(
    state: TrainState, run: Run, position: LevelAlpha, images: Tensor
) -> DiscriminatorOutput:
    """Run the discriminator on images [N, C, H, W], with the noise of --adaptive-noise."""
    noise = (
        noise_strength(state.controllers["confidence"]) if (run.objective.adaptive_noise) else None
    )
    with autocast_for(run, position.level, images.device):
        judgement: DiscriminatorOutput = state.discriminator(
            images, position.level, position.alpha, noise
        )
    scores, logits, code = judgement
    return DiscriminatorOutput(
        upcast_half(scores), upcast_half(logits), None if code is None else upcast_half(code)
    )


class Losses(NamedTuple):
    """The functions that take the time of a step; compiled ones can replace them.

    They change nothing and draw no random numbers.
    """

    fakes: Callable[[TrainState, Run, LevelAlpha, Tensor, Tensor], Tensor] = generate_fakes
    discriminator: Callable[
        [TrainState, Run, LevelAlpha, Only, DiscriminatorBatch], tuple[Tensor, Terms]
    ] = discriminator_loss
    generator: Callable[[TrainState, Run, LevelAlpha, GeneratorInputs], tuple[Tensor, Terms]] = (
        generator_loss
    )


PLAIN_LOSSES = Losses()


def discriminator_step(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    rate: Rate,
    inputs: DiscriminatorInputs,
    split: BatchSplit = FULL_BATCH,
    losses: Losses = PLAIN_LOSSES,
) -> Statistics:
    """Update the discriminator, and then the average, with G from before its coming update."""
    batch = prepare_batch(state, run, position, inputs, split, losses)
    statistics: Statistics = {}
    for only in SEPARATE if run.objective.separate_updates else TOGETHER:
        again = ("fake",) if only == "fake" else ()  # the second update of a step
        scale = scale_of(state.controllers, DISCRIMINATOR, run, position.level)

        def loss_of(
            part: DiscriminatorBatch, only: Only = only, again: tuple[str, ...] = again
        ) -> tuple[Tensor, Terms]:
            with _seeded_layers(run, state, "critic's layers", *again, *part.part):
                return losses.discriminator(state, run, position, only, part)

        gradients, terms = split.gradients(
            run, position.level, loss_of, batch, trainable_parameters(state.d_optimizer), scale
        )
        norm = update(
            state.d_optimizer, gradients, rate, run.optim.clip_gradients, skips=scale is not None
        )
        statistics |= mask_overflow(
            summary(run.objective, terms) | {"gradient/critic-weights": norm}, scale
        )
        if scale is not None:
            update_scale(state.controllers[DISCRIMINATOR], norm)
    clip_weights(state.discriminator, run.optim.clip_weights)
    update_average(state, run.optim.ema_decay)
    update_controllers(state, run, statistics)
    return statistics | {
        f"dials/{name}": value.clone() for name, value in state.controllers.items()
    }


def prepare_batch(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    inputs: DiscriminatorInputs,
    split: BatchSplit,
    losses: Losses,
) -> DiscriminatorBatch:
    """Generate the fakes, and augment them and the reals."""

    def fakes(part: DiscriminatorInputs) -> Tensor:
        images = losses.fakes(state, run, position, part.latents, part.labels)
        if part.augmentation is None:
            return images
        return augment_images(state, run, images, part.augmentation[1])

    def reals(part: DiscriminatorInputs) -> Tensor:
        assert part.augmentation is not None
        return augment_images(state, run, part.reals, part.augmentation[0])

    level = position.level
    return DiscriminatorBatch(
        split.images(run, level, reals, inputs) if inputs.augmentation else inputs.reals,
        split.images(run, level, fakes, inputs),
        inputs.labels,
        inputs.chances,
        inputs.part,
    )


def generator_step(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    rate: Rate,
    inputs: GeneratorInputs,
    split: BatchSplit = FULL_BATCH,
    losses: Losses = PLAIN_LOSSES,
) -> Statistics:
    """Update the generator."""
    scale = scale_of(state.controllers, GENERATOR, run, position.level)

    def loss_of(part: GeneratorInputs) -> tuple[Tensor, Terms]:
        with _seeded_layers(run, state, "generator's layers", *part.part):
            return losses.generator(state, run, position, part)

    with frozen(state.discriminator):
        gradients, terms = split.gradients(
            run, position.level, loss_of, inputs, trainable_parameters(state.g_optimizer), scale
        )
    norm = update(
        state.g_optimizer, gradients, rate, run.optim.clip_gradients, skips=scale is not None
    )
    if scale is not None:
        update_scale(state.controllers[GENERATOR], norm)
    return mask_overflow(
        summary(run.objective, terms) | {"gradient/generator-weights": norm}, scale
    )


def _seeded_layers(
    run: Run, state: TrainState, name: str, *which: int | str
) -> AbstractContextManager[None]:
    """Seed the layers that draw random numbers inside the context; free where none does."""
    if not run.random_layers:
        return nullcontext()
    device = next(state.discriminator.parameters()).device
    return forked_rng(device, run.seed, name, state.images_seen, *which)


def update_controllers(state: TrainState, run: Run, statistics: Statistics) -> None:
    """Update the numbers that follow the scores of the discriminator, in place."""
    moved = updated_controllers(
        run.objective, state.controllers, statistics["scores/real"], statistics["scores/fake"]
    )
    if run.augment.augment == "adaptive":
        moved[AUGMENTATION] = update_probability(
            moved[AUGMENTATION], statistics["accuracy/real"], run.augment
        )
    for name, value in moved.items():
        state.controllers[name].copy_(value)


class Steps(Protocol):
    """How both steps are taken."""

    def discriminator(
        self,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs,
    ) -> Statistics:
        """Update the discriminator and the average."""

    def generator(
        self, state: TrainState, run: Run, position: LevelAlpha, rate: Rate, inputs: GeneratorInputs
    ) -> Statistics:
        """Update the generator."""


@dataclass(frozen=True, slots=True)
class PlainSteps:
    """Both steps, operation after operation."""

    split: BatchSplit = FULL_BATCH
    losses: Losses = PLAIN_LOSSES

    def discriminator(
        self,
        state: TrainState,
        run: Run,
        position: LevelAlpha,
        rate: Rate,
        inputs: DiscriminatorInputs,
    ) -> Statistics:
        return discriminator_step(state, run, position, rate, inputs, self.split, self.losses)

    def generator(
        self, state: TrainState, run: Run, position: LevelAlpha, rate: Rate, inputs: GeneratorInputs
    ) -> Statistics:
        return generator_step(state, run, position, rate, inputs, self.split, self.losses)


PLAIN_STEPS = PlainSteps()
