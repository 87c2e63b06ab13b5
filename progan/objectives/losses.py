"""The loss of the critic and that of the generator, whatever the objective is."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from progan.config import Objective
from progan.objectives.labels import label_loss
from progan.objectives.scores import Chances, Critic, Dials, Judgement, Parts
from progan.objectives.table import OBJECTIVES

Loss = tuple[Tensor, dict[str, Tensor]]
Only = Literal["both", "real", "fake"]


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
