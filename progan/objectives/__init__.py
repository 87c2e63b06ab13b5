"""Objectives: pure functions of scores.

They receive a callable critic and never learn of growing, augmentation or distribution. No
`.backward()`, `.item()` or logging inside, so that a step can be compiled and captured.
"""

from progan.objectives.chances import draw
from progan.objectives.losses import (
    Only,
    critic_loss,
    critic_terms,
    generator_loss,
    generator_terms,
    summary,
)
from progan.objectives.scores import Chances, Critic, Dials
from progan.objectives.table import OBJECTIVES, Method

__all__ = ["OBJECTIVES", "Chances", "Critic", "Dials", "Method", "Only", "critic_loss",
           "critic_terms", "draw", "generator_loss", "generator_terms", "summary"]
