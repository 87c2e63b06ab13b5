"""Pixelwise feature vector normalisation (section 4.2 of the paper)."""

from torch import Tensor

from progan.ops.precision import at_least_single

EPSILON = 1e-8


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each feature vector along axis 1 to unit mean square; any shape [N, C, ...]."""
    power = at_least_single(x).square().mean(dim=1, keepdim=True)
    return x * (power + EPSILON).rsqrt().to(x.dtype)
