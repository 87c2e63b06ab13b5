"""The objectives, one row each."""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from progan.config import Objective
from progan.objectives.energy import (
    began_critic,
    began_generator,
    convergence,
    ebgan_critic,
    ebgan_generator,
)
from progan.objectives.least_squares import least_squares_critic, least_squares_generator
from progan.objectives.non_saturating import non_saturating_critic, non_saturating_generator
from progan.objectives.penalties import (
    GradientScale,
    Score,
    Slopes,
    around_reals,
    at_both,
    at_reals,
    between,
)
from progan.objectives.relativistic import relativistic_critic, relativistic_generator
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement
from progan.objectives.wasserstein import wasserstein_critic, wasserstein_generator

CriticLoss = Callable[[Objective, Judgement, Judgement, Chances, Dials], CriticLosses]
GeneratorLoss = Callable[[Objective, Judgement, Judgement | None], Tensor]
Measure = Callable[[Objective, Tensor, Tensor], Tensor]
Penalty = Callable[[Score, Objective, Tensor, Tensor, Chances, GradientScale], Slopes]


class Method(NamedTuple):
    """One row of the table."""

    critic: CriticLoss
    generator: GeneratorLoss
    penalty: Penalty | None = None
    threshold: float | None = None  # above it a score says real; None: above the middle of both
    paired: bool = False  # the generator's loss compares its images with reals
    targets: bool = False  # the critic's loss has targets that label noise moves
    pixels: bool = False  # the penalty adds noise to images
    measure: Measure | None = None  # of convergence, from the mean energies of reals and fakes


OBJECTIVES: dict[str, Method] = {
    "wgan-gp": Method(wasserstein_critic, wasserstein_generator, between),
    "wgan":    Method(wasserstein_critic, wasserstein_generator),
    "gan":     Method(non_saturating_critic, non_saturating_generator, threshold=0.0,
                      targets=True),
    "lsgan":   Method(least_squares_critic, least_squares_generator, threshold=0.5),
    "dragan":  Method(non_saturating_critic, non_saturating_generator, around_reals,
                      threshold=0.0, targets=True, pixels=True),
    "ebgan":   Method(ebgan_critic, ebgan_generator),
    "began":   Method(began_critic, began_generator, measure=convergence),
    "r1":      Method(non_saturating_critic, non_saturating_generator, at_reals,
                      threshold=0.0, targets=True),
    "relativistic": Method(relativistic_critic, relativistic_generator, at_both,
                           paired=True),
}
