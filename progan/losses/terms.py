"""The loss of the critic and that of the generator, whatever the objective is."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from progan.config import Objective
from progan.losses.adversarial import OBJECTIVES, confidence, label_loss, update_began_k
from progan.losses.penalties import UNSCALED, Chances, Critic, Dials, GradientScale
from progan.networks.interface import DiscriminatorOutput

Loss = tuple[Tensor, dict[str, Tensor]]
Only = Literal["both", "real", "fake"]


def critic_loss(
    critic: Critic,
    config: Objective,
    *,
    reals: Tensor,
    fakes: Tensor,
    labels: Tensor,
    chances: Chances,
    dials: Dials,
    only: Only = "both",
) -> Loss:
    """Loss of the critic, 0-d, and what is seen of it in the curves, 0-d each."""
    loss, parts = critic_terms(
        critic,
        config,
        reals=reals,
        fakes=fakes,
        labels=labels,
        chances=chances,
        dials=dials,
        only=only,
    )
    return loss, summary(config, parts)


def critic_terms(
    critic: Critic,
    config: Objective,
    *,
    reals: Tensor,
    fakes: Tensor,
    labels: Tensor,
    chances: Chances,
    dials: Dials,
    only: Only = "both",
    turns: int = 0,
    gradient_scale: GradientScale = UNSCALED,
) -> Loss:
    """Loss of the critic, 0-d, and what it is made of, [N] each.

    Args:
        critic: Images [N, C, H, W] -> judgement.
        only: Leave what concerns fakes ('real') or reals ('fake') out of the loss; penalties
            count with the reals.
        labels: One-hot [N, label_size], of reals and fakes alike; label_size may be 0.
        dials: As `dials.initial` names them.
        turns: Show the critic reals and fakes in one batch, in which they take so many turns;
            0: in two batches, but for mixed ones, which have one turn.
        gradient_scale: Of the penalty.
    """
    method = OBJECTIVES[config.objective]
    real, fake = _both(critic, reals, fakes, 1 if config.mixed_batches else turns)
    real_loss, fake_loss, parts = method.critic(config, real, fake, chances, dials)
    parts = parts | {
        "scores/real": real.scores,
        "scores/fake": fake.scores,
        "loss/critic-real": real_loss,
        "loss/critic-fake": fake_loss,
    }
    if method.penalty is not None and only != "fake":
        norms, penalty = method.penalty(
            lambda x: critic(x).scores, config, reals, fakes, chances, gradient_scale
        )
        real_loss = real_loss + penalty
        parts |= {"gradient/norm": norms, "loss/penalty": penalty}
    if labels.shape[1]:
        real_label, fake_label = label_loss(real.logits, labels), label_loss(fake.logits, labels)
        real_loss = real_loss + real_label * config.label_weight
        fake_loss = fake_loss + fake_label * config.label_weight
        parts["loss/label-critic"] = real_label + fake_label
    parts["loss/critic"] = real_loss + fake_loss
    loss = {"both": real_loss + fake_loss, "real": real_loss, "fake": fake_loss}[only]
    return loss.mean(), {name: part.detach() for name, part in parts.items()}


def generator_loss(
    critic: Critic, config: Objective, *, fakes: Tensor, labels: Tensor, reals: Tensor | None = None
) -> Loss:
    """Loss of the generator, 0-d, and what is seen of it in the curves, 0-d each."""
    loss, parts = generator_terms(critic, config, fakes=fakes, labels=labels, reals=reals)
    return loss, summary(config, parts)


def generator_terms(
    critic: Critic, config: Objective, *, fakes: Tensor, labels: Tensor, reals: Tensor | None = None
) -> Loss:
    """The same, and what it is made of, [N] each.

    The generator's images should look real (and be classified as `labels`).

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
    parts["loss/generator"] = loss
    return loss.mean(), {name: part.detach() for name, part in parts.items()}


def summary(config: Objective, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is seen in the curves of what a loss is made of, [N] each for a whole batch: 0-d each.

    Means, and what does not follow from the means of parts of a batch.
    """
    method = OBJECTIVES[config.objective]
    seen = {name: part.mean() for name, part in parts.items()}
    if "scores/real" in parts:
        real, fake = parts["scores/real"], parts["scores/fake"]
        seen |= _accuracies(method.threshold, real, fake)
        if method.measure is not None:
            seen["loss/convergence"] = method.measure(config, -real.mean(), -fake.mean())
    return seen


def _both(
    critic: Critic, reals: Tensor, fakes: Tensor, turns: int
) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    if not turns:
        return critic(reals), critic(fakes)
    in_turns = [images.unflatten(0, (turns, -1)) for images in (reals, fakes)]
    together = critic(torch.stack(in_turns, dim=1).flatten(0, 2))

    def of(which: int, values: Tensor) -> Tensor:
        split: Tensor = values.unflatten(0, (turns, 2, -1))
        return split[:, which].flatten(0, 1)

    halves = [
        DiscriminatorOutput(
            of(which, together.scores),
            of(which, together.logits),
            None if together.code is None else of(which, together.code),
        )
        for which in (0, 1)
    ]
    return halves[0], halves[1]


def _accuracies(threshold: float | None, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """How many of the images are judged right; one on the border counts half."""
    middle = (real.mean() + fake.mean()) / 2 if threshold is None else threshold
    return {
        "accuracy/real": (((real - middle).sign() + 1) / 2).mean(),
        "accuracy/fake": (((middle - fake).sign() + 1) / 2).mean(),
    }


def initial(config: Objective) -> dict[str, float]:
    """The dials that an objective has, as they are at the start."""
    dials = {}
    if config.objective == "began":
        dials["balance"] = 0.0  # k
    if config.adaptive_noise:
        dials["confidence"] = 0.0  # d^ of appendix B
    return dials


def updated_controllers(
    config: Objective, dials: Dials, real_score: Tensor, fake_score: Tensor
) -> dict[str, Tensor]:
    """The dials after a critic step with these mean scores, 0-d."""
    moved = dict(dials)
    if "balance" in dials:
        moved["balance"] = update_began_k(dials["balance"], config, -real_score, -fake_score)
    if "confidence" in dials:
        moved["confidence"] = confidence(dials["confidence"], fake_score)
    return moved
