"""Penalties on the gradient of the critic."""

from collections.abc import Callable

import torch
from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances

Score = Callable[[Tensor], Tensor]
Slopes = tuple[Tensor, Tensor]  # norms and penalties, [N] each


def gradient_norms(score: Score, images: Tensor, scale: Tensor | None = None) -> Tensor:
    """Norm of the gradient of the summed scores with respect to each image: [N, ...] -> [N]."""
    return squared_norms(score, images, scale).sqrt()


def squared_norms(score: Score, images: Tensor, scale: Tensor | None = None) -> Tensor:
    """The same, squared.

    `torch.func.grad` instead of `torch.autograd.grad` makes the penalty an ordinary part of the
    graph: `torch.compile` takes a loss that contains it whole, with a single backward pass.

    Args:
        scale: The gradient is computed of scores times this, 0-d, and divided by it again; on its
            way it keeps digits that float16 has no room for (official code: apply_loss_scaling
            and undo_loss_scaling of its losses).
    """

    def total(x: Tensor) -> Tensor:
        return score(x).sum() if scale is None else score(x).sum() * scale

    scaled: Tensor = torch.func.grad(total)(images)
    gradient = scaled if scale is None else scaled / scale
    return gradient.flatten(1).square().sum(dim=1)


def between(score: Score, config: Objective, reals: Tensor, fakes: Tensor,
            chances: Chances, scale: Tensor | None = None) -> Slopes:
    """Somewhere between reals and fakes (Gulrajani et al. 2017; appendix D)."""
    norms = gradient_norms(score, reals + (fakes - reals) * chances.mix, scale)
    return norms, two_sided(norms, config)


def around_reals(score: Score, config: Objective, reals: Tensor, fakes: Tensor,
                 chances: Chances, scale: Tensor | None = None) -> Slopes:
    """Near the reals, within half of their standard deviation (DRAGAN, Kodali et al. 2017).

    The deviation is that of NumPy, as in the official code.
    """
    assert chances.pixels is not None
    noise = chances.pixels * (0.5 * reals.std(correction=0))
    norms = gradient_norms(score, reals + noise * chances.mix, scale)
    return norms, two_sided(norms, config)


def two_sided(norms: Tensor, config: Objective) -> Tensor:
    """gp_weight / gp_target^2 * (norm - gp_target)^2."""
    return (norms - config.gp_target).square() * (config.gp_weight / config.gp_target**2)


def at_reals(score: Score, config: Objective, reals: Tensor, fakes: Tensor,
             chances: Chances, scale: Tensor | None = None) -> Slopes:
    """R1: gp_weight / 2 * norm^2 at the reals (Mescheder et al. 2018, equation 9)."""
    squared = squared_norms(score, reals, scale)
    return squared.detach().sqrt(), squared * (config.gp_weight / 2)


def at_both(score: Score, config: Objective, reals: Tensor, fakes: Tensor,
            chances: Chances, scale: Tensor | None = None) -> Slopes:
    """R1 and R2: the same at reals and at fakes."""
    norms, real_penalty = at_reals(score, config, reals, fakes, chances, scale)
    _, fake_penalty = at_reals(score, config, fakes, reals, chances, scale)
    return norms, real_penalty + fake_penalty
