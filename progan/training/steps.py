"""The two steps of an iteration: tensors in, an updated state and 0-d statistics out.

A step waits for nothing on its device and replaces no tensor of the state, so that it can be
recorded and replayed: what changes from step to step comes in tensors.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from progan.augment import adapted
from progan.config import Run
from progan.objectives import Only, summary
from progan.objectives.dials import turned
from progan.runtime.seeding import seeded
from progan.training.freezing import at_rest
from progan.training.inputs import CriticInputs, GeneratorInputs, Place
from progan.training.loss_scale import CRITIC, GENERATOR, scale_of, scaled, told, turn
from progan.training.losses import PLAIN, Losses, Shown, augmented
from progan.training.optim import Rate, clip_weights, learning, update
from progan.training.passes import ALL_AT_ONCE, Passes, Terms
from progan.training.state import AUGMENTATION, TrainState, update_average

Statistics = dict[str, Tensor]
TOGETHER: tuple[Only, ...] = ("both",)
SEPARATE: tuple[Only, ...] = ("real", "fake")


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
    """One after the other, with the passes of each level and the losses."""

    passes_at: Callable[[int], Passes] = lambda level: ALL_AT_ONCE
    losses: Losses = PLAIN

    def critic(self, state: TrainState, run: Run, place: Place, rate: Rate,
               inputs: CriticInputs) -> Statistics:
        return critic_step(state, run, place, rate, inputs, self.passes_at(place.level),
                           self.losses)

    def generator(self, state: TrainState, run: Run, place: Place, rate: Rate,
                  inputs: GeneratorInputs) -> Statistics:
        return generator_step(state, run, place, rate, inputs, self.passes_at(place.level),
                              self.losses)


PLAIN_STEPS = PlainSteps()


def critic_step(state: TrainState, run: Run, place: Place, rate: Rate, inputs: CriticInputs,
                passes: Passes = ALL_AT_ONCE, losses: Losses = PLAIN) -> Statistics:
    """Update the critic, and then the average, which sees G from before its coming update."""
    shown = show(state, run, place, inputs, passes, losses)
    statistics: Statistics = {}
    for only in SEPARATE if run.objective.separate_updates else TOGETHER:
        again = ("fake",) if only == "fake" else ()  # the second update of a step
        scale = scale_of(state.dials, CRITIC, run, place.level)

        def loss_of(part: Shown, only: Only = only, again: tuple[str, ...] = again
                    ) -> tuple[Tensor, Terms]:
            with _layers_draw(run, state, "critic's layers", *again, *part.part):
                return losses.critic(state, run, place, only, part)

        gradients, terms = scaled(passes, scale).gradients(loss_of, shown,
                                                           learning(state.d_optimizer))
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


def show(state: TrainState, run: Run, place: Place, inputs: CriticInputs, passes: Passes,
         losses: Losses) -> Shown:
    """Draw the fakes, and augment them and the reals."""

    def fakes(part: CriticInputs) -> Tensor:
        images = losses.fakes(state, run, place, part.latents, part.labels)
        return augmented(state, run, images, part.augmentation[1]) if part.augmentation else images

    def reals(part: CriticInputs) -> Tensor:
        assert part.augmentation is not None
        return augmented(state, run, part.reals, part.augmentation[0])

    return Shown(passes.images(reals, inputs) if inputs.augmentation else inputs.reals,
                 passes.images(fakes, inputs), inputs.labels, inputs.chances, inputs.part)


def generator_step(state: TrainState, run: Run, place: Place, rate: Rate,
                   inputs: GeneratorInputs, passes: Passes = ALL_AT_ONCE,
                   losses: Losses = PLAIN) -> Statistics:
    """Update the generator."""
    scale = scale_of(state.dials, GENERATOR, run, place.level)

    def loss_of(part: GeneratorInputs) -> tuple[Tensor, Terms]:
        with _layers_draw(run, state, "generator's layers", *part.part):
            return losses.generator(state, run, place, part)

    with at_rest(state.discriminator):
        gradients, terms = scaled(passes, scale).gradients(loss_of, inputs,
                                                           learning(state.g_optimizer))
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
