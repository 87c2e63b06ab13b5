"""Least squares (Mao et al. 2016), target 1 for reals and 0 for fakes."""

from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement

NOISE_GAIN, NOISE_LIMIT, NOISE_DECAY = 0.2, 0.5, 0.9  # appendix B of the paper


def least_squares_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                         dials: Dials) -> CriticLosses:
    """(D(x) - 1)^2 / 2 and fake_weight * D(G(z))^2 / 2, [N] (equation 9, a = 0, b = c = 1)."""
    return CriticLosses((real.scores - 1).square() / 2,
                        fake.scores.square() * (config.fake_weight / 2))


def least_squares_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """(D(G(z)) - 1)^2 / 2, [N]."""
    return (fake.scores - 1).square() / 2


def confidence(average: Tensor, fake_score: Tensor) -> Tensor:
    """The moving average of how sure the critic is of fakes, 1 being all that it is asked for.

    d^ <- 0.1 d + 0.9 d^ (appendix B). The official code gives fakes the target 1 and calls their
    score d; here their target is 0, and d is 1 - score, clipped to [0, 1] as there.
    """
    return average * NOISE_DECAY + (1 - fake_score).clamp(0, 1) * (1 - NOISE_DECAY)


def noise_strength(average: Tensor) -> Tensor:
    """0.2 max(0, d^ - 0.5)^2 (appendix B)."""
    return NOISE_GAIN * (average - NOISE_LIMIT).clamp(min=0).square()
