"""The augmentations one after the other, in the order of StyleGAN2-ADA (appendix B)."""

import torch
from torch import Tensor

from progan.augment.transforms import Draws, blit, recolor, transform
from progan.config import Augment


def augment(images: Tensor, p: Tensor, draws: Draws, config: Augment) -> Tensor:
    """Apply each of the chosen kinds to each image with probability `p`; same shape and dtype.

    Args:
        images: [N, C, H, W] in [-1, 1], on the device of the draws; H and W at least 4.
        p: 0-d in [0, 1], where 0 returns the images bit by bit.
        draws: Those of `draw` for N images.

    The result is linear in the images but for a constant, so all derivatives exist. Geometry and
    colour may overshoot [-1, 1].
    """
    # Half precision cannot tell the places of two neighbouring pixels apart.
    result = images.to(torch.promote_types(images.dtype, torch.float32))
    for stage in (blit, transform, recolor):
        result = stage(result, p, draws, config)
    return result.to(images.dtype)


def update_probability(p: Tensor, real_accuracy: Tensor, config: Augment) -> Tensor:
    """The next probability, a step later: 0-d in [0, 1].

    The mean sign of real scores, r_t of section 3, is 2 x accuracy - 1. With
    error = real_accuracy - augment_accuracy:
        proportional: p + error / augment_steps (A. Béres' Keras example, "Data-efficient GANs
            with Adaptive Discriminator Augmentation")
        constant: p + sign(error) / augment_steps (section 3)
    """
    error = real_accuracy - config.augment_accuracy
    if config.augment_control == "constant":
        error = error.sign()
    return (p + error / config.augment_steps).clamp(0, 1)
