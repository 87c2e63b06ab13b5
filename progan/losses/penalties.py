"""What the losses are made of: scores, and who gives them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from progan.config import Objective
from progan.networks.interface import DiscriminatorOutput

Critic = Callable[[Tensor], DiscriminatorOutput]
Dials = Mapping[str, Tensor]  # 0-d numbers that training moves itself, by name
Parts = dict[str, Tensor]  # what a loss is made of, [N] each


class CriticLosses(NamedTuple):
    """What a critic is asked for, [N] each; the sum is its loss."""

    real: Tensor
    fake: Tensor
    parts: Parts = {}  # for the curves


class Chances(NamedTuple):
    """The random numbers of a critic step, uniform in [0, 1)."""

    mix: Tensor  # [N, 1, 1, 1]: where between two images a gradient is taken
    pixels: Tensor | None = None  # [N, C, H, W]: what dragan adds to reals
    targets: Tensor | None = None  # [N, 2]: how far targets of reals and fakes are moved


Score = Callable[[Tensor], Tensor]
Slopes = tuple[Tensor, Tensor]  # norms and penalties, [N] each


class GradientScale(NamedTuple):
    """Factors between the gradient that autograd computes and the one that is penalised.

    Attributes:
        loss_scale: The gradient is computed of scores times this, 0-d, and divided by it again; on
            its way it keeps digits that float16 has no room for (official code:
            apply_loss_scaling and undo_loss_scaling of its losses).
        norm_divisor: Gradient norm at the trained resolution over that at the final resolution;
            the penalty of wgan-gp alone uses it (`final_norm_divisor`).
    """

    loss_scale: Tensor | None = None
    norm_divisor: int = 1


UNSCALED = GradientScale()


def final_norm_divisor(config: Objective, levels_to_grow: int) -> int:
    """Return the factor by which wgan-gp divides its gradient norms, a power of two.

    The official code takes the gradient with respect to images at the final resolution, at every
    level: below it, images are enlarged (nearest neighbour) before the loss, and D averages 2x2
    pixels until its level is reached. With k = `levels_to_grow`, a pixel's gradient g is spread
    over 4^k pixels as g / 4^k each, so that the squared norm is |g|^2 * 4^k / 16^k, and the norm
    |g| / 2^k: exactly what one division gives, without images of the final size.
    """
    return 1 << levels_to_grow if config.gp_resolution == "final" else 1


def gradient_norms(score: Score, images: Tensor, scale: GradientScale = UNSCALED) -> Tensor:
    """Norm of the gradient of the summed scores with respect to each image: [N, ...] -> [N]."""
    return squared_norms(score, images, scale).sqrt()


def squared_norms(score: Score, images: Tensor, scale: GradientScale = UNSCALED) -> Tensor:
    """The same, squared.

    `torch.func.grad` instead of `torch.autograd.grad` makes the penalty an ordinary part of the
    graph: `torch.compile` takes a loss that contains it whole, with a single backward pass.
    """
    loss_scale = scale.loss_scale

    def total(x: Tensor) -> Tensor:
        return score(x).sum() if loss_scale is None else score(x).sum() * loss_scale

    scaled: Tensor = torch.func.grad(total)(images)
    gradient = scaled if loss_scale is None else scaled / loss_scale
    return gradient.flatten(1).square().sum(dim=1)


def wgan_gp_penalty(
    score: Score,
    config: Objective,
    reals: Tensor,
    fakes: Tensor,
    chances: Chances,
    scale: GradientScale = UNSCALED,
) -> Slopes:
    """Somewhere between reals and fakes (Gulrajani et al. 2017; appendix D)."""
    norms = gradient_norms(score, reals + (fakes - reals) * chances.mix, scale)
    norms = norms / scale.norm_divisor
    return norms, two_sided(norms, config)


def dragan_penalty(
    score: Score,
    config: Objective,
    reals: Tensor,
    fakes: Tensor,
    chances: Chances,
    scale: GradientScale = UNSCALED,
) -> Slopes:
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


def r1_penalty(
    score: Score,
    config: Objective,
    reals: Tensor,
    fakes: Tensor,
    chances: Chances,
    scale: GradientScale = UNSCALED,
) -> Slopes:
    """R1: gp_weight / 2 * norm^2 at the reals (Mescheder et al. 2018, equation 9).

    At the trained resolution, like DRAGAN's: the networks of both papers do not grow.
    """
    squared = squared_norms(score, reals, scale)
    return squared.detach().sqrt(), squared * (config.gp_weight / 2)


def r1_r2_penalty(
    score: Score,
    config: Objective,
    reals: Tensor,
    fakes: Tensor,
    chances: Chances,
    scale: GradientScale = UNSCALED,
) -> Slopes:
    """R1 and R2: the same at reals and at fakes."""
    norms, real_penalty = r1_penalty(score, config, reals, fakes, chances, scale)
    _, fake_penalty = r1_penalty(score, config, fakes, reals, chances, scale)
    return norms, real_penalty + fake_penalty
