"""Gradient penalties, and the types that losses share."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from progan.config import LossConfig
from progan.networks.interface import DiscriminatorOutput
from progan.ops import OddBatches

DiscriminatorFn = Callable[[Tensor], DiscriminatorOutput]
Controllers = Mapping[str, Tensor]  # 0-d numbers that training adjusts itself, by name
Terms = dict[str, Tensor]  # terms of a loss, [N] each


class DiscriminatorLosses(NamedTuple):
    """Loss of the discriminator on reals and on fakes, [N] each; it minimises the sum."""

    real: Tensor
    fake: Tensor
    terms: Terms = {}  # only logged


class LossNoise(NamedTuple):
    """The random numbers of a discriminator step, uniform in [0, 1)."""

    mix: Tensor  # [N, 1, 1, 1]: interpolation weight of the image at which the gradient is taken
    pixels: Tensor | None = None  # [N, C, H, W]: noise that dragan adds to reals
    targets: Tensor | None = None  # [N, 2]: label noise of reals and fakes


ScoreFn = Callable[[Tensor], Tensor]


class Penalties(NamedTuple):
    """Gradient norms and their penalties, [N] each."""

    norms: Tensor
    penalties: Tensor


class GradientScale(NamedTuple):
    """Factors between the gradient that autograd computes and the one that is penalised.

    Attributes:
        loss_scale: Scores are multiplied by this, 0-d, before differentiation, and the gradient is
            divided by it, so that float16 does not underflow (official code: apply_loss_scaling
            and undo_loss_scaling of its losses).
        norm_divisor: Gradient norm at the trained resolution over that at the final resolution;
            only wgan-gp uses it (`final_norm_divisor`).
    """

    loss_scale: Tensor | None = None
    norm_divisor: int = 1


UNSCALED = GradientScale()


def final_norm_divisor(config: LossConfig, levels_to_grow: int) -> int:
    """Return the factor by which wgan-gp divides its gradient norms, a power of two.

    The official code takes the gradient with respect to images at the final resolution, at every
    level: below it, images are enlarged (nearest neighbour) before the loss, and D averages 2x2
    pixels until its level is reached. With k = `levels_to_grow`, a pixel's gradient g is spread
    over 4^k pixels as g / 4^k each, so that the squared norm is |g|^2 * 4^k / 16^k, and the norm
    |g| / 2^k: exactly what one division gives, without images of the final size.
    """
    return 1 << levels_to_grow if config.gp_resolution == "final" else 1


def gradient_norms(score: ScoreFn, images: Tensor, scale: GradientScale = UNSCALED) -> Tensor:
    """Norm of the gradient of the summed scores with respect to each image: [N, ...] -> [N].

    A norm of 0 has the gradient 0. That of the plain square root is infinite there: one image whose
    score is constant, as with strong dropout, would make all weights NaN.
    """
    squared = squared_gradient_norms(score, images, scale)
    zero = squared == 0
    return squared.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def squared_gradient_norms(
    score: ScoreFn, images: Tensor, scale: GradientScale = UNSCALED
) -> Tensor:
    """Squared norm of the gradient of the summed scores with respect to each image: [N].

    `torch.func.grad` instead of `torch.autograd.grad` makes the penalty an ordinary part of the
    graph: `torch.compile` compiles a loss that contains it whole, with a single backward pass.
    """
    loss_scale = scale.loss_scale

    def total(x: Tensor) -> Tensor:
        return score(x).sum() if loss_scale is None else score(x).sum() * loss_scale

    with OddBatches() if images.device.type == "cpu" else nullcontext():
        scaled: Tensor = torch.func.grad(total)(images)
    gradient = scaled if loss_scale is None else scaled / loss_scale
    return gradient.flatten(1).square().sum(dim=1)


def wgan_gp_penalty(
    score: ScoreFn,
    config: LossConfig,
    reals: Tensor,
    fakes: Tensor,
    noise: LossNoise,
    scale: GradientScale = UNSCALED,
) -> Penalties:
    """WGAN-GP: two-sided, at random points between reals and fakes (Gulrajani et al. 2017)."""
    norms = gradient_norms(score, reals + (fakes - reals) * noise.mix, scale)
    norms = norms / scale.norm_divisor
    return Penalties(norms, two_sided_penalty(norms, config))


def dragan_penalty(
    score: ScoreFn,
    config: LossConfig,
    reals: Tensor,
    fakes: Tensor,
    noise: LossNoise,
    scale: GradientScale = UNSCALED,
) -> Penalties:
    """DRAGAN: two-sided, near reals, within half of their standard deviation (Kodali et al. 2017).

    The standard deviation is the biased one, as in the official code.
    """
    assert noise.pixels is not None
    offsets = noise.pixels * (0.5 * reals.std(correction=0))
    norms = gradient_norms(score, reals + offsets * noise.mix, scale)
    return Penalties(norms, two_sided_penalty(norms, config))


def two_sided_penalty(norms: Tensor, config: LossConfig) -> Tensor:
    """Return gp_weight / gp_target^2 * (norm - gp_target)^2."""
    return (norms - config.gp_target).square() * (config.gp_weight / config.gp_target**2)


def r1_penalty(
    score: ScoreFn,
    config: LossConfig,
    reals: Tensor,
    fakes: Tensor,
    noise: LossNoise,
    scale: GradientScale = UNSCALED,
) -> Penalties:
    """R1: gp_weight / 2 * norm^2 at the reals (Mescheder et al. 2018, equation 9).

    At the trained resolution, like DRAGAN: the networks of both papers do not grow.
    """
    squared = squared_gradient_norms(score, reals, scale)
    return Penalties(squared.detach().sqrt(), squared * (config.gp_weight / 2))


def r1_r2_penalty(
    score: ScoreFn,
    config: LossConfig,
    reals: Tensor,
    fakes: Tensor,
    noise: LossNoise,
    scale: GradientScale = UNSCALED,
) -> Penalties:
    """R1 + R2: the penalty of R1 at reals and at fakes; the norms are those at reals."""
    norms, real_penalty = r1_penalty(score, config, reals, fakes, noise, scale)
    _, fake_penalty = r1_penalty(score, config, fakes, reals, noise, scale)
    return Penalties(norms, real_penalty + fake_penalty)
