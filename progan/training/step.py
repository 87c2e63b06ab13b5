"""One discriminator step and one generator step: tensors in, an updated state and statistics out.

From top to bottom: the losses as pure functions of the state and of `step_inputs` (reals and all
random numbers of the whole batch), and the steps, which update the weights with the `gradients` of
these losses and the optimizers of `optim`.

A step never waits for its device and replaces no tensor of the state, so that it can be captured
and replayed: what changes from step to step comes in tensors.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from typing import NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.swa_utils import get_ema_multi_avg_fn

from progan.augment import AugmentNoise, augment, compute_next_probability
from progan.batch_split import count_interleavable_blocks
from progan.config import Run
from progan.losses import LossNoise, Side, discriminator_terms, generator_terms, summarize_terms
from progan.losses.adversarial import adaptive_noise_strength
from progan.losses.penalties import GradientScale, Terms, final_norm_divisor
from progan.losses.terms import add_terms, next_loss_controllers
from progan.networks import DiscriminatorOutput
from progan.ops import upcast_half
from progan.runtime.seeding import temporarily_seeded_rng
from progan.training.gradients import FULL_BATCH, BatchSplit
from progan.training.optim import (
    Rate,
    clip_weights,
    gradients_disabled,
    trainable_parameters,
    update_weights,
)
from progan.training.precision import (
    D_LOSS_SCALE,
    G_LOSS_SCALE,
    autocast_for,
    get_loss_scale,
    mask_overflow,
    update_loss_scale,
)
from progan.training.state import AUGMENT_P, TrainState
from progan.training.step_inputs import DiscriminatorInputs, GeneratorInputs, LevelAlpha

Statistics = dict[str, Tensor]  # 0-d, by name
ONE_UPDATE: tuple[Side, ...] = ("both",)
TWO_UPDATES: tuple[Side, ...] = ("real", "fake")


class DiscriminatorBatch(NamedTuple):
    """Augmented reals and fakes, as the discriminator gets them in its step."""

    reals: Tensor  # [N, C, H, W]
    fakes: Tensor  # [N, C, H, W]
    labels: Tensor  # [N, label_size]
    loss_noise: LossNoise
    with_penalty: bool = True
    part: tuple[int, ...] = ()


def generate_fakes(
    state: TrainState, run: Run, position: LevelAlpha, latents: Tensor, labels: Tensor
) -> Tensor:
    """Run the generator: [N, C, H, W]."""
    with autocast_for(run, position.level, latents.device):
        images: Tensor = state.generator(latents, labels, position.level, position.alpha)
    return upcast_half(images)


def discriminator_loss(
    state: TrainState, run: Run, position: LevelAlpha, side: Side, batch: DiscriminatorBatch
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the discriminator, 0-d, and its terms, [N] each."""
    return discriminator_terms(
        partial(run_discriminator, state, run, position), run.loss, reals=batch.reals,
        fakes=batch.fakes, labels=batch.labels, noise=batch.loss_noise,
        controllers=state.controllers, side=side, with_penalty=batch.with_penalty,
        interleave_count=count_interleavable_blocks(run, len(batch.reals)),
        gradient_scale=GradientScale(
            get_loss_scale(state.controllers, D_LOSS_SCALE, run, position.level),
            final_norm_divisor(run.loss, run.network.max_level - position.level),
        ),
    )  # fmt: skip


def generator_loss(
    state: TrainState, run: Run, position: LevelAlpha, inputs: GeneratorInputs
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the generator, 0-d, and its terms, [N] each."""
    fakes = generate_fakes(state, run, position, inputs.latents, inputs.labels)
    reals, noise = inputs.reals, inputs.augment_noise
    if noise:
        fakes = augment_images(state, run, fakes, noise.fakes)
        reals = None if reals is None else augment_images(state, run, reals, noise.reals)
    discriminator = partial(run_discriminator, state, run, position)
    return generator_terms(discriminator, run.loss, fakes=fakes, labels=inputs.labels, reals=reals)


def augment_images(state: TrainState, run: Run, images: Tensor, noise: AugmentNoise) -> Tensor:
    """Augment images [N, C, H, W] with the current probability."""
    return augment(images, state.controllers[AUGMENT_P], noise, run.augment)


def run_discriminator(
    state: TrainState, run: Run, position: LevelAlpha, images: Tensor
) -> DiscriminatorOutput:
    """Run the discriminator on images [N, C, H, W], with the noise of --adaptive-noise."""
    adaptive = run.loss.adaptive_noise
    noise = adaptive_noise_strength(state.controllers["confidence"]) if adaptive else None
    with autocast_for(run, position.level, images.device):
        scores, logits, code = state.discriminator(images, position.level, position.alpha, noise)
    return DiscriminatorOutput(
        upcast_half(scores), upcast_half(logits), None if code is None else upcast_half(code)
    )


class StepFunctions(NamedTuple):
    """The expensive functions of a step; compiled ones can replace them.

    They change no weights. Batch normalisation updates its running statistics, and dropout and
    --adaptive-noise draw from torch's global generator, seeded for each step.
    """

    fakes: Callable[[TrainState, Run, LevelAlpha, Tensor, Tensor], Tensor] = generate_fakes
    discriminator: Callable[
        [TrainState, Run, LevelAlpha, Side, DiscriminatorBatch], tuple[Tensor, Terms]
    ] = discriminator_loss
    generator: Callable[[TrainState, Run, LevelAlpha, GeneratorInputs], tuple[Tensor, Terms]] = (
        generator_loss
    )


EAGER_FUNCTIONS = StepFunctions()


def discriminator_step(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    rate: Rate,
    inputs: DiscriminatorInputs,
    split: BatchSplit = FULL_BATCH,
    functions: StepFunctions = EAGER_FUNCTIONS,
) -> Statistics:
    """Update the discriminator, g_ema (with G before its next update), and the controllers."""
    batch = prepare_batch(state, run, position, inputs, split, functions)
    terms: Terms = {}
    norms: list[Tensor] = []
    for side in TWO_UPDATES if run.loss.separate_updates else ONE_UPDATE:
        scale = get_loss_scale(state.controllers, D_LOSS_SCALE, run, position.level)
        loss_of = partial(_seeded_discriminator_loss, state, run, position, side, functions)
        weights = trainable_parameters(state.d_optimizer)
        gradients, found = split.gradients(run, position.level, loss_of, batch, weights, scale)
        terms = add_terms(terms, found)
        norms.append(
            _update_network(state, run, state.d_optimizer, gradients, rate, scale, D_LOSS_SCALE)
        )
    summary = summarize_terms(run.loss, terms)
    summary["gradient/critic-weights"] = reduce(torch.maximum, norms)
    statistics = mask_overflow(summary, scale)
    clip_weights(state.discriminator, run.optim.clip_weights)
    update_g_ema(state, run.optim.ema_decay)
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
    functions: StepFunctions,
) -> DiscriminatorBatch:
    """Generate the fakes, and augment them and the reals."""

    def fakes(part: DiscriminatorInputs) -> Tensor:
        images = functions.fakes(state, run, position, part.latents, part.labels)
        noise = part.augment_noise
        return images if noise is None else augment_images(state, run, images, noise.fakes)

    def reals(part: DiscriminatorInputs) -> Tensor:
        assert part.augment_noise is not None
        return augment_images(state, run, part.reals, part.augment_noise.reals)

    level = position.level
    return DiscriminatorBatch(
        split.images(run, level, reals, inputs) if inputs.augment_noise else inputs.reals,
        split.images(run, level, fakes, inputs),
        inputs.labels,
        inputs.loss_noise,
        inputs.with_penalty,
        inputs.part,
    )


def generator_step(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    rate: Rate,
    inputs: GeneratorInputs,
    split: BatchSplit = FULL_BATCH,
    functions: StepFunctions = EAGER_FUNCTIONS,
) -> Statistics:
    """Update the generator."""
    scale = get_loss_scale(state.controllers, G_LOSS_SCALE, run, position.level)
    loss_of = partial(_seeded_generator_loss, state, run, position, functions)
    weights = trainable_parameters(state.g_optimizer)
    with gradients_disabled(state.discriminator):
        gradients, terms = split.gradients(run, position.level, loss_of, inputs, weights, scale)
    norm = _update_network(state, run, state.g_optimizer, gradients, rate, scale, G_LOSS_SCALE)
    summary = summarize_terms(run.loss, terms) | {"gradient/generator-weights": norm}
    return mask_overflow(summary, scale)


def _update_network(
    state: TrainState,
    run: Run,
    optimizer: Optimizer,
    gradients: Sequence[Tensor | None],
    rate: Rate,
    scale: Tensor | None,
    scale_name: str,
) -> Tensor:
    """Update the weights of an optimizer and their loss scale; return the norm of the gradients."""
    clip = run.optim.clip_gradients
    norm = update_weights(optimizer, gradients, rate, clip, skips=scale is not None)
    if scale is not None:
        update_loss_scale(state.controllers[scale_name], norm)
    return norm


def _seeded_discriminator_loss(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    side: Side,
    functions: StepFunctions,
    part: DiscriminatorBatch,
) -> tuple[Tensor, Terms]:
    update = ("fake",) if side == "fake" else ()  # the second one of --separate-updates
    with _seeded_layers(run, state, "critic's layers", *update, *part.part):
        return functions.discriminator(state, run, position, side, part)


def _seeded_generator_loss(
    state: TrainState,
    run: Run,
    position: LevelAlpha,
    functions: StepFunctions,
    part: GeneratorInputs,
) -> tuple[Tensor, Terms]:
    with _seeded_layers(run, state, "generator's layers", *part.part):
        return functions.generator(state, run, position, part)


def _seeded_layers(
    run: Run, state: TrainState, name: str, *which: int | str
) -> AbstractContextManager[None]:
    """Seed the layers that draw random numbers inside the context; free if there are none."""
    if not run.random_layers:
        return nullcontext()
    device = next(state.discriminator.parameters()).device
    return temporarily_seeded_rng(device, run.seed, name, state.images_seen, *which)


def update_controllers(state: TrainState, run: Run, statistics: Statistics) -> None:
    """Update the controllers that follow the discriminator's scores, in place."""
    updated = next_loss_controllers(
        run.loss, state.controllers, statistics["scores/real"], statistics["scores/fake"]
    )
    if run.augment.augment == "adaptive":
        updated[AUGMENT_P] = compute_next_probability(
            updated[AUGMENT_P], statistics["accuracy/real"], run.augment
        )
    for name, value in updated.items():
        state.controllers[name].copy_(value)


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


class Steps(NamedTuple):
    """Both steps, eager, compiled or captured."""

    discriminator: Callable[[TrainState, Run, LevelAlpha, Rate, DiscriminatorInputs], Statistics]
    generator: Callable[[TrainState, Run, LevelAlpha, Rate, GeneratorInputs], Statistics]


def make_steps(split: BatchSplit = FULL_BATCH, functions: StepFunctions = EAGER_FUNCTIONS) -> Steps:
    """Return steps that split batches and compute losses in the given way."""
    return Steps(
        partial(discriminator_step, split=split, functions=functions),
        partial(generator_step, split=split, functions=functions),
    )


EAGER_STEPS = make_steps()
