"""Penalties on the gradient of the critic."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_norms(score: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Norm of the gradient of the summed scores with respect to each image: [N, ...] -> [N].

    `torch.func.grad` instead of `torch.autograd.grad` makes the penalty an ordinary part of the
    graph: `torch.compile` takes a loss that contains it whole, with a single backward pass.
    """
    gradient: Tensor = torch.func.grad(lambda x: score(x).sum())(images)
    return gradient.flatten(1).square().sum(dim=1).sqrt()


def gradient_penalty(norms: Tensor, weight: float, target: float) -> Tensor:
    """weight / target^2 * (norm - target)^2 per image (Gulrajani et al. 2017; appendix D)."""
    return (norms - target).square() * (weight / target**2)
