"""Pixelwise feature vector normalisation (section 4.2 of the paper)."""

from torch import Tensor

EPSILON = 1e-8


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each feature vector along axis 1 to unit mean square; any shape [N, C, ...]."""
    return x * (x.square().mean(dim=1, keepdim=True) + EPSILON).rsqrt()
