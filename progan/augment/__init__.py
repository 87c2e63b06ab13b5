"""Augmentation of all that a discriminator sees, reals and fakes alike, and its probability.

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data" (StyleGAN2-ADA).
Everything is differentiable, has static shapes, and gets its random numbers and its probability
as tensors, so that a step can be compiled and captured.
"""

from progan.augment.pipeline import augment, update_probability
from progan.augment.transforms import Draws, draw

__all__ = ["Draws", "update_probability", "augment", "draw"]
