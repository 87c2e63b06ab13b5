"""Adversarial losses of discriminator and generator, by the names of --objective."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import LossConfig
from progan.losses.penalties import (
    Controllers,
    DiscriminatorLosses,
    GradientScale,
    LossNoise,
    Penalties,
    ScoreFn,
    dragan_penalty,
    r1_penalty,
    r1_r2_penalty,
    wgan_gp_penalty,
)
from progan.networks.interface import DiscriminatorOutput


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the cross-entropy per image: logits and one-hot labels [N, label_size] -> [N]."""
    return -(F.log_softmax(logits, dim=1) * labels).sum(dim=1)


def non_saturating_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """-log D(x) and -log(1 - D(G(z))), D being the sigmoid of a score: [N].

    Reals have the target 1 - label_smoothing, fakes 0. Label noise u, uniform in [0, label_noise)
    for each image, lowers both targets by u, as in the DCGAN of Chollet's book, whose labels are
    swapped.
    """
    real_loss, fake_loss = F.softplus(-real.scores), F.softplus(fake.scores)
    # A target t costs softplus(s) - t s, which differs from t = 1 or 0 by a product only.
    if config.label_smoothing:
        real_loss = real_loss + config.label_smoothing * real.scores
    if noise.targets is not None:
        offsets = config.label_noise * noise.targets
        real_loss = real_loss + offsets[:, 0] * real.scores
        fake_loss = fake_loss + offsets[:, 1] * fake.scores
    return DiscriminatorLosses(real_loss, fake_loss)


def non_saturating_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-log D(G(z)), [N]."""
    return F.softplus(-fake.scores)


NOISE_GAIN, NOISE_LIMIT, NOISE_DECAY = 0.2, 0.5, 0.9  # appendix B of the paper


def least_squares_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """(D(x) - 1)^2 / 2 and fake_weight * D(G(z))^2 / 2, [N] (equation 9, a = 0, b = c = 1)."""
    return DiscriminatorLosses(
        (real.scores - 1).square() / 2, fake.scores.square() * (config.fake_weight / 2)
    )


def least_squares_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """(D(G(z)) - 1)^2 / 2, [N]."""
    return (fake.scores - 1).square() / 2


def update_confidence(average: Tensor, fake_score: Tensor) -> Tensor:
    """Update the moving average of the discriminator's confidence on fakes, 0-d in [0, 1].

    d^ <- 0.1 d + 0.9 d^ (appendix B). The official code gives fakes the target 1 and calls their
    score d; here their target is 0, and d is 1 - score, clipped to [0, 1] as there.
    """
    return average * NOISE_DECAY + (1 - fake_score).clamp(0, 1) * (1 - NOISE_DECAY)


def adaptive_noise_strength(confidence: Tensor) -> Tensor:
    """Return 0.2 max(0, d^ - 0.5)^2 (appendix B)."""
    return NOISE_GAIN * (confidence - NOISE_LIMIT).clamp(min=0).square()


def wasserstein_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """-D(x) + drift * D(x)^2 and D(G(z)), [N]."""
    drift = real.scores.square() * config.drift
    return DiscriminatorLosses(drift - real.scores, fake.scores, {"loss/drift": drift})


def wasserstein_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-D(G(z)), [N]."""
    return -fake.scores


def relativistic_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """-log sigmoid(D(x) - D(G(z))), [N]: half of it for the real, half for the fake of a pair."""
    half = F.softplus(fake.scores - real.scores) / 2
    return DiscriminatorLosses(half, half)


def relativistic_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), [N]."""
    assert real is not None
    return F.softplus(real.scores - fake.scores)


def ebgan_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """E(x) and max(0, margin - E(G(z))), [N] (equation 1)."""
    return DiscriminatorLosses(-real.scores, F.relu(config.margin + fake.scores))


def ebgan_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """E(G(z)) + pulling_away * f_PT (equations 2 and 4), [N]."""
    assert fake.code is not None
    return -fake.scores + config.pulling_away * pulling_away_term(fake.code)


def pulling_away_term(code: Tensor) -> Tensor:
    """Return the mean squared cosine between codes [N, K] of different images, 0-d (equation 4)."""
    n = len(code)
    directions = F.normalize(code, dim=1)
    cosines = directions @ directions.T
    others = cosines.square() * (1 - torch.eye(n, dtype=code.dtype, device=code.device))
    return others.sum() / max(n * (n - 1), 1)


def began_discriminator_loss(
    config: LossConfig,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    noise: LossNoise,
    controllers: Controllers,
) -> DiscriminatorLosses:
    """E(x) and -k E(G(z)), [N] (section 3.4)."""
    return DiscriminatorLosses(-real.scores, controllers["balance"] * fake.scores)


def began_generator_loss(
    config: LossConfig, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """E(G(z)), [N]."""
    return -fake.scores


def update_began_k(
    k: Tensor, config: LossConfig, real_energy: Tensor, fake_energy: Tensor
) -> Tensor:
    """Return k + lambda (gamma E(x) - E(G(z))), clipped to [0, 1] (section 3.4)."""
    error = config.diversity * real_energy - fake_energy
    return (k + config.balance_rate * error).clamp(0, 1)


def began_convergence(config: LossConfig, real_energy: Tensor, fake_energy: Tensor) -> Tensor:
    """Return M = E(x) + |gamma E(x) - E(G(z))|, lower is better (section 3.4.1)."""
    return real_energy + (config.diversity * real_energy - fake_energy).abs()


DiscriminatorLoss = Callable[
    [LossConfig, DiscriminatorOutput, DiscriminatorOutput, LossNoise, Controllers],
    DiscriminatorLosses,
]
GeneratorLoss = Callable[[LossConfig, DiscriminatorOutput, DiscriminatorOutput | None], Tensor]
ConvergenceMeasure = Callable[[LossConfig, Tensor, Tensor], Tensor]
Penalty = Callable[[ScoreFn, LossConfig, Tensor, Tensor, LossNoise, GradientScale], Penalties]


class LossSpec(NamedTuple):
    """The functions of one value of --objective, and what they need.

    Attributes:
        threshold: Scores above it mean real; None: the midpoint of the mean scores.
        paired: The generator's loss compares its images with reals.
        has_targets: The discriminator's loss has targets, to which label noise applies.
        has_image_noise: The penalty adds noise to images.
        convergence: A measure of convergence, from the mean energies of reals and fakes.
    """

    discriminator: DiscriminatorLoss
    generator: GeneratorLoss
    penalty: Penalty | None = None
    threshold: float | None = None
    paired: bool = False
    has_targets: bool = False
    has_image_noise: bool = False
    convergence: ConvergenceMeasure | None = None


_WASSERSTEIN = wasserstein_discriminator_loss, wasserstein_generator_loss
_NON_SATURATING = non_saturating_discriminator_loss, non_saturating_generator_loss
_LEAST_SQUARES = least_squares_discriminator_loss, least_squares_generator_loss
_RELATIVISTIC = relativistic_discriminator_loss, relativistic_generator_loss
_BEGAN = began_discriminator_loss, began_generator_loss
# fmt: off
LOSSES: dict[str, LossSpec] = {
    "wgan-gp": LossSpec(*_WASSERSTEIN, wgan_gp_penalty),
    "wgan": LossSpec(*_WASSERSTEIN),
    "gan": LossSpec(*_NON_SATURATING, threshold=0.0, has_targets=True),
    "lsgan": LossSpec(*_LEAST_SQUARES, threshold=0.5),
    "dragan": LossSpec(*_NON_SATURATING, dragan_penalty, threshold=0.0, has_targets=True,
                       has_image_noise=True),
    "ebgan": LossSpec(ebgan_discriminator_loss, ebgan_generator_loss),
    "began": LossSpec(*_BEGAN, convergence=began_convergence),
    "r1": LossSpec(*_NON_SATURATING, r1_penalty, threshold=0.0, has_targets=True),
    "relativistic": LossSpec(*_RELATIVISTIC, r1_r2_penalty, paired=True),
}
# fmt: on


def get_penalty_interval(config: LossConfig) -> int:
    """Return k of --penalty-interval; 1 for objectives without a gradient penalty."""
    return 1 if LOSSES[config.objective].penalty is None else config.penalty_interval


def draw_loss_noise(config: LossConfig, shape: torch.Size, stream: torch.Generator) -> LossNoise:
    """Generate the random numbers of a discriminator step on images of shape [N, C, H, W]."""
    n, device, spec = shape[0], stream.device, LOSSES[config.objective]

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=stream, device=device)

    return LossNoise(
        mix=uniform(n, 1, 1, 1),
        pixels=uniform(*shape) if spec.has_image_noise else None,
        targets=uniform(2, n).T if spec.has_targets and config.label_noise else None,
    )
