"""Minibatch standard deviation (section 3 of the paper)."""

import torch
from torch import Tensor

from progan.ops.precision import at_least_single

EPSILON = 1e-8


def minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """Append a feature map with the spread of the images in a group: [N, C, H, W] -> C + 1 maps.

    With M groups, the members of a group are the images i, i+M, i+2M …, as in the official code.
    A batch that `group_size` does not divide is cut into the largest groups that do divide it
    (official code: only if the batch is smaller than the group, else an error).
    """
    n, _, h, w = x.shape
    size = divisor(n, group_size)
    groups = at_least_single(x).reshape(size, n // size, *x.shape[1:])  # [G, M, C, H, W]
    deviation = (groups.var(dim=0, correction=0) + EPSILON).sqrt()  # [M, C, H, W]
    spread = deviation.mean(dim=(1, 2, 3)).repeat(size).to(x.dtype)  # [N]
    return torch.cat([x, spread.reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


def divisor(n: int, limit: int) -> int:
    """Return the largest divisor of `n` that is not larger than `limit`."""
    return max(size for size in range(1, min(n, limit) + 1) if n % size == 0)
