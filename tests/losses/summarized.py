"""Losses with their terms summarised, as training logs them."""

from typing import Any

from torch import Tensor

from progan.config import LossConfig
from progan.losses import DiscriminatorFn, discriminator_terms, generator_terms, summarize_terms


def discriminator_loss(
    discriminator: DiscriminatorFn, config: LossConfig, **inputs: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    loss, terms = discriminator_terms(discriminator, config, **inputs)
    return loss, summarize_terms(config, terms)


def generator_loss(
    discriminator: DiscriminatorFn, config: LossConfig, **inputs: Any
) -> tuple[Tensor, dict[str, Tensor]]:
    loss, terms = generator_terms(discriminator, config, **inputs)
    return loss, summarize_terms(config, terms)
