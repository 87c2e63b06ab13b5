"""Multiplicative noise that keeps a discriminator from being too sure (appendix B of the paper)."""

import math

import torch
from torch import Tensor


def disturb(x: Tensor, strength: Tensor | None) -> Tensor:
    """Multiply each feature map of each image by 1 + strength * sqrt(C) * N(0, 1): [N, C, H, W].

    The root of the number of maps is in the official code: sums over many maps are disturbed as
    much as those over a few.

    Args:
        strength: 0-d; None: leave x as it is.
    """
    if strength is None:
        return x
    noise = torch.randn(*x.shape[:2], 1, 1, dtype=x.dtype, device=x.device)
    return x * (1 + noise * (strength * math.sqrt(x.shape[1])))
