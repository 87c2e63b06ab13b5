"""Objectives: pure functions of scores.

They receive a callable critic and never learn of growing, augmentation or distribution. No
`.backward()`, `.item()` or logging inside, so that a step can be compiled and captured.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from progan.config import Objective
from progan.objectives.energy import (
    began_critic,
    began_generator,
    ebgan_critic,
    ebgan_generator,
)
from progan.objectives.labels import label_loss
from progan.objectives.least_squares import least_squares_critic, least_squares_generator
from progan.objectives.non_saturating import non_saturating_critic, non_saturating_generator
from progan.objectives.penalties import (
    Score,
    Slopes,
    around_reals,
    at_both,
    at_reals,
    between,
)
from progan.objectives.relativistic import relativistic_critic, relativistic_generator
from progan.objectives.scores import Chances, Critic, CriticLosses, Dials, Judgement, Parts
from progan.objectives.wasserstein import wasserstein_critic, wasserstein_generator

CriticLoss = Callable[[Objective, Judgement, Judgement, Chances, Dials], CriticLosses]
GeneratorLoss = Callable[[Objective, Judgement, Judgement | None], Tensor]
Penalty = Callable[[Score, Objective, Tensor, Tensor, Chances], Slopes]
Loss = tuple[Tensor, dict[str, Tensor]]
Only = Literal["both", "real", "fake"]


class Method(NamedTuple):
    """One row of the table."""

    critic: CriticLoss
    generator: GeneratorLoss
    penalty: Penalty | None = None
    threshold: float | None = None  # above it a score says real; None: above the middle of both
    paired: bool = False  # the generator's loss compares its images with reals


OBJECTIVES: dict[str, Method] = {
    "wgan-gp": Method(wasserstein_critic, wasserstein_generator, between),
    "wgan":    Method(wasserstein_critic, wasserstein_generator),
    "gan":     Method(non_saturating_critic, non_saturating_generator, threshold=0.0),
    "lsgan":   Method(least_squares_critic, least_squares_generator, threshold=0.5),
    "dragan":  Method(non_saturating_critic, non_saturating_generator, around_reals,
                      threshold=0.0),
    "ebgan":   Method(ebgan_critic, ebgan_generator),
    "began":   Method(began_critic, began_generator),
    "r1":      Method(non_saturating_critic, non_saturating_generator, at_reals,
                      threshold=0.0),
    "relativistic": Method(relativistic_critic, relativistic_generator, at_both,
                           paired=True),
}


def critic_loss(critic: Critic, config: Objective, *, reals: Tensor, fakes: Tensor,
                labels: Tensor, chances: Chances, dials: Dials, only: Only = "both") -> Loss:
    """Loss of the critic, 0-d, and for the curves what it is made of.

    Args:
        critic: Images [N, C, H, W] -> judgement.
        only: Leave what concerns fakes ('real') or reals ('fake') out of the loss; penalties
            count with the reals.
        labels: One-hot [N, label_size], of reals and fakes alike; label_size may be 0.
        dials: As `dials.initial` names them.
    """
    method = OBJECTIVES[config.objective]
    real, fake = _both(critic, reals, fakes, mixed=config.mixed_batches)
    real_loss, fake_loss, parts = method.critic(config, real, fake, chances, dials)
    parts = parts | {"scores/real": real.scores, "scores/fake": fake.scores,
                     "loss/critic-real": real_loss, "loss/critic-fake": fake_loss}
    parts |= _accuracies(method.threshold, real.scores, fake.scores)
    if method.penalty is not None and only != "fake":
        norms, penalty = method.penalty(lambda x: critic(x).scores, config, reals, fakes, chances)
        real_loss = real_loss + penalty
        parts |= {"gradient/norm": norms, "loss/penalty": penalty}
    if labels.shape[1]:
        real_label, fake_label = label_loss(real.logits, labels), label_loss(fake.logits, labels)
        real_loss = real_loss + real_label * config.label_weight
        fake_loss = fake_loss + fake_label * config.label_weight
        parts["loss/label-critic"] = real_label + fake_label
    parts["loss/critic"] = real_loss + fake_loss
    loss = {"both": real_loss + fake_loss, "real": real_loss, "fake": fake_loss}[only]
    return loss.mean(), _means(parts)


def generator_loss(critic: Critic, config: Objective, *, fakes: Tensor, labels: Tensor,
                   reals: Tensor | None = None) -> Loss:
    """Loss of the generator: its images should look real (and be classified as `labels`).

    Args:
        reals: [N, C, H, W], for objectives that compare with them.
    """
    method = OBJECTIVES[config.objective]
    fake = critic(fakes)
    loss = method.generator(config, fake, None if reals is None else critic(reals))
    parts = {}
    if labels.shape[1]:
        label = label_loss(fake.logits, labels)
        loss = loss + label * config.label_weight
        parts["loss/label-generator"] = label
    return loss.mean(), _means(parts)


def draw(config: Objective, shape: torch.Size, stream: torch.Generator) -> Chances:
    """Draw the random numbers of a critic step for images of a shape [N, C, H, W]."""
    n, device = shape[0], stream.device
    moved_targets = config.label_noise and (
        OBJECTIVES[config.objective].critic is non_saturating_critic)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=stream, device=device)

    return Chances(
        mix=uniform(n, 1, 1, 1),
        pixels=uniform(*shape) if config.objective == "dragan" else None,
        targets=uniform(2, n) if moved_targets else None)


class _Judged(NamedTuple):
    scores: Tensor
    logits: Tensor
    code: Tensor | None


def _both(critic: Critic, reals: Tensor, fakes: Tensor, *, mixed: bool
          ) -> tuple[Judgement, Judgement]:
    if not mixed:
        return critic(reals), critic(fakes)
    n, together = len(reals), critic(torch.cat([reals, fakes]))
    halves = [_Judged(together.scores[part], together.logits[part],
                      None if together.code is None else together.code[part])
              for part in (slice(n), slice(n, None))]
    return halves[0], halves[1]


def _accuracies(threshold: float | None, real: Tensor, fake: Tensor) -> Parts:
    """Which of the images are judged right: 1, or 0, or a half on the border, [N]."""
    middle = (real.mean() + fake.mean()) / 2 if threshold is None else threshold
    return {"accuracy/real": ((real - middle).sign() + 1) / 2,
            "accuracy/fake": ((middle - fake).sign() + 1) / 2}


def _means(parts: Parts) -> dict[str, Tensor]:
    return {name: part.detach().mean() for name, part in parts.items()}


__all__ = ["OBJECTIVES", "Chances", "Critic", "Dials", "Method", "Only", "critic_loss", "draw",
           "generator_loss"]
