"""What comes after a convolution: an activation, and a normalisation before or after it."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from progan.ops.normalize import pixel_norm

LEAKY_SLOPE = 0.2

Activation = Callable[[Tensor], Tensor]


def leaky_relu(x: Tensor) -> Tensor:
    return F.leaky_relu(x, LEAKY_SLOPE)


def sigmoid(x: Tensor) -> Tensor:
    """Sigmoid, scaled to -1…1."""
    return F.sigmoid(x) * 2 - 1


ACTIVATIONS: dict[str, Activation] = {"leaky-relu": leaky_relu, "relu": F.relu, "elu": F.elu}
OUTPUTS: dict[str, Activation] = {"linear": lambda x: x, "tanh": F.tanh, "sigmoid": sigmoid}


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation of [N, C] or [N, C, H, W]."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Any number of dimensions will do."""


class Activated(nn.Module):
    """Activation and normalisation of [N, maps, ...].

    Pixel norm comes after the activation, as in the official code. Batch and layer
    normalisation come before it, as where they come from.

    Args:
        running: Whether batch normalisation keeps averages, for single images.
    """

    def __init__(self, activation: str, norm: str, maps: int, *, running: bool = False) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.pixel_norm = norm == "pixel"
        self.norm = _norm(norm, maps, running)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        x = self.act(x)
        return pixel_norm(x) if self.pixel_norm else x


def _norm(kind: str, maps: int, running: bool) -> nn.Module | None:
    if kind == "batch":
        return BatchNorm(maps, track_running_stats=running)
    return nn.GroupNorm(1, maps) if kind == "layer" else None
