"""The losses of a step, as functions of the state that change nothing and draw nothing."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from progan.augment import Draws, augment
from progan.config import Run
from progan.networks import Judgement
from progan.objectives import Chances, Only, critic_terms, generator_terms
from progan.objectives.least_squares import noise_strength
from progan.objectives.penalties import GradientScale, final_norm_divisor
from progan.ops.precision import at_least_single
from progan.partition import turns
from progan.training.inputs import GeneratorInputs, Place
from progan.training.loss_scale import CRITIC, scale_of
from progan.training.passes import Terms
from progan.training.precision import lowered
from progan.training.state import AUGMENTATION, TrainState


class Shown(NamedTuple):
    """What the critic is shown in its step."""

    reals: Tensor  # [N, C, H, W]
    fakes: Tensor  # [N, C, H, W]
    labels: Tensor  # [N, label_size]
    chances: Chances
    part: tuple[int, ...]


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
