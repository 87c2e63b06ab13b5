"""Adversarial losses of discriminator and generator, and the table of them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import Objective
from progan.losses.penalties import (
    Chances,
    CriticLosses,
    Dials,
    GradientScale,
    Score,
    Slopes,
    dragan_penalty,
    r1_penalty,
    r1_r2_penalty,
    wgan_gp_penalty,
)
from progan.networks.interface import DiscriminatorOutput


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy per image: logits and one-hot labels [N, label_size] -> [N]."""
    return -(F.log_softmax(logits, dim=1) * labels).sum(dim=1)


def non_saturating_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """-log D(x) and -log(1 - D(G(z))), D being the sigmoid of a score: [N].

    Reals have the target 1 - label_smoothing, fakes 0. With label noise u, uniform in
    [0, label_noise) for each image, reals have u less, and fakes -u: away from right, as in the
    DCGAN of the book by Chollet, whose targets run the other way.
    """
    real_loss, fake_loss = F.softplus(-real.scores), F.softplus(fake.scores)
    # A target t costs softplus(s) - t s, which differs from t = 1 or 0 by a product only.
    if config.label_smoothing:
        real_loss = real_loss + config.label_smoothing * real.scores
    if chances.targets is not None:
        moved = config.label_noise * chances.targets
        real_loss = real_loss + moved[:, 0] * real.scores
        fake_loss = fake_loss + moved[:, 1] * fake.scores
    return CriticLosses(real_loss, fake_loss)


def non_saturating_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-log D(G(z)), [N]."""
    return F.softplus(-fake.scores)


NOISE_GAIN, NOISE_LIMIT, NOISE_DECAY = 0.2, 0.5, 0.9  # appendix B of the paper


def least_squares_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """(D(x) - 1)^2 / 2 and fake_weight * D(G(z))^2 / 2, [N] (equation 9, a = 0, b = c = 1)."""
    return CriticLosses(
        (real.scores - 1).square() / 2, fake.scores.square() * (config.fake_weight / 2)
    )


def least_squares_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
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


def wasserstein_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """-D(x) + drift * D(x)^2 and D(G(z)), [N]."""
    drift = real.scores.square() * config.drift
    return CriticLosses(drift - real.scores, fake.scores, {"loss/drift": drift})


def wasserstein_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-D(G(z)), [N]."""
    return -fake.scores


def relativistic_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """-log sigmoid(D(x) - D(G(z))), [N]: half of it for the real, half for the fake of a pair."""
    half = F.softplus(fake.scores - real.scores) / 2
    return CriticLosses(half, half)


def relativistic_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), [N]."""
    assert real is not None
    return F.softplus(real.scores - fake.scores)


def ebgan_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """E(x) and max(0, margin - E(G(z))), [N] (equation 1)."""
    return CriticLosses(-real.scores, F.relu(config.margin + fake.scores))


def ebgan_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """E(G(z)) + pulling_away * f_PT (equations 2 and 4), [N]."""
    assert fake.code is not None
    return -fake.scores + config.pulling_away * pulling_away(fake.code)


def pulling_away(code: Tensor) -> Tensor:
    """Mean squared cosine between the codes [N, K] of different images, 0-d (equation 4)."""
    n = len(code)
    directions = F.normalize(code, dim=1)
    cosines = directions @ directions.T
    others = cosines.square() * (1 - torch.eye(n, dtype=code.dtype, device=code.device))
    return others.sum() / max(n * (n - 1), 1)


def began_critic(
    config: Objective,
    real: DiscriminatorOutput,
    fake: DiscriminatorOutput,
    chances: Chances,
    dials: Dials,
) -> CriticLosses:
    """E(x) and -k E(G(z)), [N] (section 3.4)."""
    return CriticLosses(-real.scores, dials["balance"] * fake.scores)


def began_generator(
    config: Objective, fake: DiscriminatorOutput, real: DiscriminatorOutput | None
) -> Tensor:
    """E(G(z)), [N]."""
    return -fake.scores


def update_began_k(
    k: Tensor, config: Objective, real_energy: Tensor, fake_energy: Tensor
) -> Tensor:
    """k + lambda (gamma E(x) - E(G(z))), within [0, 1] (section 3.4)."""
    error = config.diversity * real_energy - fake_energy
    return (k + config.balance_rate * error).clamp(0, 1)


def convergence(config: Objective, real_energy: Tensor, fake_energy: Tensor) -> Tensor:
    """M = E(x) + |gamma E(x) - E(G(z))|, lower is better (section 3.4.1)."""
    return real_energy + (config.diversity * real_energy - fake_energy).abs()


CriticLoss = Callable[
    [Objective, DiscriminatorOutput, DiscriminatorOutput, Chances, Dials], CriticLosses
]
GeneratorLoss = Callable[[Objective, DiscriminatorOutput, DiscriminatorOutput | None], Tensor]
Measure = Callable[[Objective, Tensor, Tensor], Tensor]
Penalty = Callable[[Score, Objective, Tensor, Tensor, Chances, GradientScale], Slopes]


class LossSpec(NamedTuple):
    """One row of the table."""

    critic: CriticLoss
    generator: GeneratorLoss
    penalty: Penalty | None = None
    threshold: float | None = None  # above it a score says real; None: above the middle of both
    paired: bool = False  # the generator's loss compares its images with reals
    targets: bool = False  # the critic's loss has targets that label noise moves
    pixels: bool = False  # the penalty adds noise to images
    measure: Measure | None = None  # of convergence, from the mean energies of reals and fakes


OBJECTIVES: dict[str, LossSpec] = {
    "wgan-gp": LossSpec(wasserstein_critic, wasserstein_generator, wgan_gp_penalty),
    "wgan": LossSpec(wasserstein_critic, wasserstein_generator),
    "gan": LossSpec(non_saturating_critic, non_saturating_generator, threshold=0.0, targets=True),
    "lsgan": LossSpec(least_squares_critic, least_squares_generator, threshold=0.5),
    "dragan": LossSpec(
        non_saturating_critic,
        non_saturating_generator,
        dragan_penalty,
        threshold=0.0,
        targets=True,
        pixels=True,
    ),
    "ebgan": LossSpec(ebgan_critic, ebgan_generator),
    "began": LossSpec(began_critic, began_generator, measure=convergence),
    "r1": LossSpec(
        non_saturating_critic, non_saturating_generator, r1_penalty, threshold=0.0, targets=True
    ),
    "relativistic": LossSpec(
        relativistic_critic, relativistic_generator, r1_r2_penalty, paired=True
    ),
}


def draw(config: Objective, shape: torch.Size, stream: torch.Generator) -> Chances:
    """Draw the random numbers of a critic step for images of a shape [N, C, H, W]."""
    n, device, method = shape[0], stream.device, OBJECTIVES[config.objective]

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=stream, device=device)

    return Chances(
        mix=uniform(n, 1, 1, 1),
        pixels=uniform(*shape) if method.pixels else None,
        targets=uniform(2, n).T if method.targets and config.label_noise else None,
    )
