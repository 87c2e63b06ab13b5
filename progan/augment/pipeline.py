"""The augmentations one after the other, in the order of StyleGAN2-ADA (appendix B)."""

import torch
from torch import Tensor

from progan.augment.blitting import blit
from progan.augment.color import recolor
from progan.augment.draws import Draws
from progan.augment.geometry import transform
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
