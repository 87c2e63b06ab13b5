"""Objectives: pure functions of scores.

They receive a callable critic and never learn of growing, augmentation or distribution. No
`.backward()`, `.item()` or logging inside, so that a step can be compiled and captured.
"""

from progan.losses.adversarial import OBJECTIVES, LossSpec, draw
from progan.losses.penalties import Chances, Critic, Dials
from progan.losses.terms import (
    Only,
    critic_loss,
    critic_terms,
    generator_loss,
    generator_terms,
    summary,
)

__all__ = [
    "OBJECTIVES",
    "Chances",
    "Critic",
    "Dials",
    "LossSpec",
    "Only",
    "critic_loss",
    "critic_terms",
    "draw",
    "generator_loss",
    "generator_terms",
    "summary",
]
