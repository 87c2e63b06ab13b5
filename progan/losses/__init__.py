"""GAN losses: pure functions of discriminator scores.

They take a callable discriminator and are independent of growing, augmentation and distribution.
No `.backward()`, `.item()` or logging inside, so that a step can be compiled and captured.
"""

from progan.losses.adversarial import LOSSES, LossSpec, draw_loss_noise
from progan.losses.penalties import Controllers, DiscriminatorFn, LossNoise
from progan.losses.terms import Side, discriminator_terms, generator_terms, summarize_terms

__all__ = [
    "LOSSES", "Controllers", "DiscriminatorFn", "LossNoise", "LossSpec", "Side",
    "discriminator_terms", "draw_loss_noise", "generator_terms", "summarize_terms",
]  # fmt: skip
