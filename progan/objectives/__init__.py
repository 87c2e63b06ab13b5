"""Objectives: pure functions of scores.

They receive a callable critic and never learn of growing, augmentation or distribution. No
`.backward()`, `.item()` or logging inside, so that a step can be compiled and captured.
"""

from progan.objectives.wasserstein import wgan_gp_critic, wgan_gp_generator

# name: (loss of the critic, loss of the generator)
OBJECTIVES = {"wgan-gp": (wgan_gp_critic, wgan_gp_generator)}

__all__ = ["OBJECTIVES"]
