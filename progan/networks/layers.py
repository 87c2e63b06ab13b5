"""Layers with equalized learning rate (section 4.1 of the paper)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progan.ops import (
    autocast_is_enabled,
    conv3x3_down2x,
    disable_autocast,
    down2x,
    pixel_norm,
    up2x,
    up2x_conv3x3,
    upcast_half,
)
from progan.sizes import Size

HE_GAIN = math.sqrt(2)


class EqualizedLayer(nn.Module):
    """A weight ~ N(0, 1) that is scaled by He's constant, gain/sqrt(fan-in), each time it is used.

    So Adam's normalised steps have the same relative size in every layer. With
    `equalized=False` the constant goes into the initial weights instead, as is common elsewhere.
    """

    def __init__(self, shape: tuple[int, ...], gain: float, equalized: bool) -> None:
        super().__init__()
        fan_in = math.prod(shape[1:])
        deviation = gain / math.sqrt(fan_in)
        self.scale, self.initial_deviation = (deviation, 1.0) if equalized else (1.0, deviation)
        # Channels-last kernels make the convolutions work in that layout, which their libraries
        # prefer: on a CPU, 1.7 times faster at 32x32 (docs/log.md).
        layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
        self.weight = nn.Parameter(torch.empty(shape, memory_format=layout))
        self.bias = nn.Parameter(torch.empty(shape[0]))

    @torch.no_grad()
    def initialize(self, generator: torch.Generator, deviation: float = 0.0) -> None:
        """Initialise the weights from a CPU generator, and the biases with zero.

        Args:
            deviation: Standard deviation of the weights instead of He's; 0: He's.
        """
        noise = torch.randn(self.weight.shape, generator=generator) * (
            deviation or self.initial_deviation
        )
        self.weight.copy_(noise)
        self.bias.zero_()

    def operands(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return input and weight, one of them scaled by He's constant.

        It is the smaller one, or in half precision the weight, so that its values and gradients
        are rounded like those of the scaled weight.
        """
        if self.scale == 1:
            return x, self.weight
        if x.numel() < self.weight.numel() and not autocast_is_enabled(x.device):
            return x * self.scale, self.weight
        return x, self.weight * self.scale


class Dense(EqualizedLayer):
    """[N, inputs] -> [N, outputs], never in half precision."""

    def __init__(self, inputs: int, outputs: int, *, gain: float = HE_GAIN, equalized: bool):
        super().__init__((outputs, inputs), gain, equalized)

    def forward(self, x: Tensor) -> Tensor:
        # Cheap, and scores in half precision would be too coarse.
        with disable_autocast(x.device):
            return F.linear(*self.operands(upcast_half(x)), self.bias)


class DenseToMaps(EqualizedLayer):
    """[N, inputs] -> [N, outputs, H, W] of a given size; in half precision where convolutions are.

    Args:
        pixel_bias: Each pixel of each map has a bias of its own, instead of one for the whole map.
    """

    def __init__(
        self, inputs: int, outputs: int, size: Size, *, equalized: bool, pixel_bias: bool = False
    ):
        # The gain is the official one: sqrt(2)/4, which "matches the original Theano code". It is
        # the same for every size: the fan-in are the inputs, and each pixel is a sum of them.
        super().__init__((outputs * size.pixels, inputs), HE_GAIN / 4, equalized)
        self.shape = (outputs, *size)
        self.bias_shape = self.shape if pixel_bias else (outputs, 1, 1)
        self.bias = nn.Parameter(torch.empty(math.prod(self.bias_shape)))

    def forward(self, x: Tensor) -> Tensor:
        features = F.linear(*self.operands(x))
        return features.reshape(x.shape[0], *self.shape) + self.bias.reshape(1, *self.bias_shape)


class Conv(EqualizedLayer):
    """[N, inputs, H, W] -> [N, outputs, H, W], kernel of any size.

    An even kernel covers one pixel more to the right and below, as in TensorFlow.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, *, gain: float = HE_GAIN, equalized: bool
    ):
        super().__init__((outputs, inputs, size, size), gain, equalized)

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        x = x if size % 2 else F.pad(x, (0, 1, 0, 1))
        return F.conv2d(*self.operands(x), self.bias, padding=(size - 1) // 2)


class UpConv(Conv):
    """Doubling, then a 3x3 convolution: [N, inputs, H, W] -> [N, outputs, 2H, 2W]."""

    def __init__(self, inputs: int, outputs: int, *, fused: bool, equalized: bool):
        super().__init__(inputs, outputs, 3, equalized=equalized)
        self.fused = fused

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            return up2x_conv3x3(*self.operands(x), self.bias)
        return super().forward(up2x(x))


class ConvDown(Conv):
    """A 3x3 convolution, halving and activation: [N, inputs, H, W] -> [N, outputs, H/2, W/2].

    Fused, the halving comes before the activation; unfused, after it: different functions, as in
    the official code.
    """

    def __init__(self, inputs: int, outputs: int, act: nn.Module, *, fused: bool, equalized: bool):
        super().__init__(inputs, outputs, 3, equalized=equalized)
        self.act, self.fused = act, fused

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            features: Tensor = self.act(conv3x3_down2x(*self.operands(x), self.bias))
            return features
        return down2x(self.act(super().forward(x)))


def resolution_name(level: int) -> str:
    """Return the key of a level in ModuleDicts, by its resolution: 3 -> '8x8' for any size."""
    return f"{1 << level}x{1 << level}"


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
        """Accept any number of dimensions."""


class NormActivation(nn.Module):
    """Activation and normalisation of [N, maps, ...].

    Pixel norm comes after the activation, as in the official code; batch and layer normalisation
    come before it, as in their papers.

    Args:
        running: Keep running statistics of batch normalisation, for single images.
    """

    def __init__(self, activation: str, norm: str, maps: int, *, running: bool = False) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.pixel_norm = norm == "pixel"
        self.norm = _make_norm_layer(norm, maps, running)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        x = self.act(x)
        return pixel_norm(x) if self.pixel_norm else x


def _make_norm_layer(kind: str, maps: int, running: bool) -> nn.Module | None:
    if kind == "batch":
        return BatchNorm(maps, track_running_stats=running)
    return nn.GroupNorm(1, maps) if kind == "layer" else None


KERNEL_SIZE = 5


class MinibatchDiscrimination(EqualizedLayer):
    """Append the similarity to the other images to the features: [N, F] -> [N, F + K].

    o_b(x_i) is the sum over j != i of exp(-|M_i,b - M_j,b|_1), M_i = T f(x_i) of shape [K, 5].
    The image itself, which is at distance 0 always, is left out.
    """

    def __init__(self, inputs: int, kernels: int) -> None:
        super().__init__((kernels * KERNEL_SIZE, inputs), gain=1, equalized=False)
        self.bias = nn.Parameter(torch.empty(kernels))

    def forward(self, x: Tensor) -> Tensor:
        with disable_autocast(x.device):
            x = upcast_half(x)
            rows = (x @ self.weight.T).reshape(len(x), -1, KERNEL_SIZE)
            distances = (rows[:, None] - rows[None]).abs().sum(dim=3)  # [N, N, K]
            return torch.cat([x, (-distances).exp().sum(dim=1) - 1 + self.bias], dim=1)
