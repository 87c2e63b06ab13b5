"""The losses of discriminator and generator, of any --objective, and the controllers of losses."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from progan.config import LossConfig
from progan.losses.adversarial import LOSSES, label_loss, update_began_k, update_confidence
from progan.losses.penalties import (
    UNSCALED,
    Controllers,
    DiscriminatorFn,
    GradientScale,
    LossNoise,
    Terms,
)
from progan.networks.interface import DiscriminatorOutput

Side = Literal["both", "real", "fake"]


def discriminator_terms(
    discriminator: DiscriminatorFn,
    config: LossConfig,
    *,
    reals: Tensor,
    fakes: Tensor,
    labels: Tensor,
    noise: LossNoise,
    controllers: Controllers,
    side: Side = "both",
    with_penalty: bool = True,
    interleave_count: int = 0,
    gradient_scale: GradientScale = UNSCALED,
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the discriminator, 0-d, and its terms, [N] each.

    Args:
        discriminator: Images [N, C, H, W] -> DiscriminatorOutput.
        labels: One-hot [N, label_size], of reals and fakes alike; label_size may be 0.
        controllers: As `initial_loss_controllers` names them.
        side: 'real' and 'fake' leave the terms of the other images out of the loss and of what is
            returned; penalties belong to the reals.
        with_penalty: False: without the gradient penalty, as in all steps but every k-th one of
            --penalty-interval k (lazy regularization; Karras et al. 2020, section 3.1).
        interleave_count: Pass reals and fakes in one batch, in so many alternating pairs of
            blocks; 0: in two batches. Mixed batches have one pair.
        gradient_scale: Scaling of the penalty's gradients.
    """
    spec = LOSSES[config.objective]
    count = 1 if config.mixed_batches else interleave_count
    real, fake = _discriminate_both(discriminator, reals, fakes, count, side)
    real_loss, fake_loss, more = spec.discriminator(config, real, fake, noise, controllers)
    real_terms = more | {"scores/real": real.scores, "loss/critic-real": real_loss}
    fake_terms = {"scores/fake": fake.scores, "loss/critic-fake": fake_loss}
    if spec.penalty is not None and with_penalty and side != "fake":
        norms, penalty = spec.penalty(
            lambda x: discriminator(x).scores, config, reals, fakes, noise, gradient_scale
        )
        real_loss = real_loss + penalty * config.penalty_interval
        real_terms |= {"gradient/norm": norms, "loss/penalty": penalty}
    if labels.shape[1]:
        real_label, fake_label = label_loss(real.logits, labels), label_loss(fake.logits, labels)
        real_loss = real_loss + real_label * config.label_weight
        fake_loss = fake_loss + fake_label * config.label_weight
        real_terms["loss/label-critic"], fake_terms["loss/label-critic"] = real_label, fake_label
    real_terms["loss/critic"], fake_terms["loss/critic"] = real_loss, fake_loss
    both_terms = add_terms(real_terms, fake_terms)
    terms = {"both": both_terms, "real": real_terms, "fake": fake_terms}[side]
    return terms["loss/critic"].mean(), {name: term.detach() for name, term in terms.items()}


def add_terms(real_terms: Terms, fake_terms: Terms) -> Terms:
    """Join the terms of reals and of fakes; those that both have are added."""
    return {
        **real_terms,
        **{
            name: real_terms[name] + term if name in real_terms else term
            for name, term in fake_terms.items()
        },
    }


def generator_terms(
    discriminator: DiscriminatorFn,
    config: LossConfig,
    *,
    fakes: Tensor,
    labels: Tensor,
    reals: Tensor | None = None,
) -> tuple[Tensor, Terms]:
    """Return the mean loss of the generator, 0-d, and its terms, [N] each.

    Args:
        labels: One-hot [N, label_size] of the fakes; label_size may be 0.
        reals: [N, C, H, W], for paired losses.
    """
    fake = discriminator(fakes)
    real = None if reals is None else discriminator(reals)
    loss = LOSSES[config.objective].generator(config, fake, real)
    terms = {}
    if labels.shape[1]:
        label = label_loss(fake.logits, labels)
        loss = loss + label * config.label_weight
        terms["loss/label-generator"] = label
    terms["loss/generator"] = loss
    return loss.mean(), {name: term.detach() for name, term in terms.items()}


def summarize_terms(config: LossConfig, terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reduce the terms of a whole batch, [N] each, to 0-d: means, accuracies, convergence."""
    spec = LOSSES[config.objective]
    summary = {name: term.mean() for name, term in terms.items()}
    if {"scores/real", "scores/fake"} <= terms.keys():
        real, fake = terms["scores/real"], terms["scores/fake"]
        summary |= _compute_accuracies(spec.threshold, real, fake)
        if spec.convergence is not None:
            summary["loss/convergence"] = spec.convergence(config, -real.mean(), -fake.mean())
    return summary


def _discriminate_both(
    discriminator: DiscriminatorFn, reals: Tensor, fakes: Tensor, interleave_count: int, side: Side
) -> tuple[DiscriminatorOutput, DiscriminatorOutput]:
    """Return the outputs for reals and for fakes, each in their order.

    Those that `side` leaves out have no gradients, which saves their graph and its memory.
    """
    if not interleave_count:
        is_grad_enabled = torch.is_grad_enabled()
        with torch.set_grad_enabled(is_grad_enabled and side != "fake"):
            real = discriminator(reals)
        with torch.set_grad_enabled(is_grad_enabled and side != "real"):
            fake = discriminator(fakes)
        return real, fake
    blocks = [images.unflatten(0, (interleave_count, -1)) for images in (reals, fakes)]
    output = discriminator(torch.stack(blocks, dim=1).flatten(0, 2))

    def select(which: int, values: Tensor) -> Tensor:
        split: Tensor = values.unflatten(0, (interleave_count, 2, -1))
        return split[:, which].flatten(0, 1)

    real, fake = (
        DiscriminatorOutput(
            select(which, output.scores),
            select(which, output.logits),
            None if output.code is None else select(which, output.code),
        )
        for which in (0, 1)
    )
    return real, fake


def _compute_accuracies(threshold: float | None, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """Return the shares of images classified correctly; a score on the threshold counts half."""
    middle = (real.mean() + fake.mean()) / 2 if threshold is None else threshold
    return {
        "accuracy/real": (((real - middle).sign() + 1) / 2).mean(),
        "accuracy/fake": (((middle - fake).sign() + 1) / 2).mean(),
    }


def initial_loss_controllers(config: LossConfig) -> dict[str, float]:
    """Return the initial values of the controllers of a loss."""
    controllers = {}
    if config.objective == "began":
        controllers["balance"] = 0.0  # k
    if config.adaptive_noise:
        controllers["confidence"] = 0.0  # d^ of appendix B
    return controllers


def next_loss_controllers(
    config: LossConfig, controllers: Controllers, real_score: Tensor, fake_score: Tensor
) -> dict[str, Tensor]:
    """Return the controllers after a discriminator step with these mean scores, 0-d."""
    updated = dict(controllers)
    if "balance" in controllers:
        updated["balance"] = update_began_k(
            controllers["balance"], config, -real_score, -fake_score
        )
    if "confidence" in controllers:
        updated["confidence"] = update_confidence(controllers["confidence"], fake_score)
    return updated
