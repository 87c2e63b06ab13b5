"""The PGAN of pytorch_GAN_zoo as formulas, on weights under its own names.

Each layer is its convolution or product, bias included, times sqrt(2 / fan-in). Pixel norm comes
after the activation; alpha is the weight of the older colours; D averages after the activation.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def layer(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight, bias = weights[f"{name}.module.weight"], weights[f"{name}.module.bias"]
    scale = (2 / weight[0].numel()) ** 0.5
    if weight.ndim == 2:
        return F.linear(x, weight, bias) * scale
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2) * scale


def active(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.leaky_relu(layer(weights, name, x), 0.2)


def norm(x: Tensor) -> Tensor:
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def double(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def draw(weights: Weights, latents: Tensor, scales: int, alpha: float) -> Tensor:
    """Images of G with so many scales above 4x4."""
    x = norm(active(weights, "formatLayer", norm(latents)).reshape(len(latents), -1, 4, 4))
    x = norm(active(weights, "groupScale0.0", x))
    older = x
    for scale in range(scales):
        older, x = x, double(x)
        for number in (0, 1):
            x = norm(active(weights, f"scaleLayers.{scale}.{number}", x))
    images = layer(weights, f"toRGBLayers.{scales}", x)
    if alpha == 0:
        return images
    return alpha * double(layer(weights, f"toRGBLayers.{scales - 1}", older)) + (1 - alpha) * images


def judge(weights: Weights, images: Tensor, scales: int, alpha: float) -> Tensor:
    """What D says of at most four images: [N, 1]."""
    x = active(weights, f"fromRGBLayers.{scales}", images)
    for scale in reversed(range(scales)):
        for number in (0, 1):
            x = active(weights, f"scaleLayers.{scale}.{number}", x)
        x = F.avg_pool2d(x, 2)
        if scale == scales - 1 and alpha:
            older = active(weights, f"fromRGBLayers.{scale}", F.avg_pool2d(images, 2))
            x = alpha * older + (1 - alpha) * x
    x = _with_deviation(x)
    x = active(weights, "groupScaleZero.0", x).flatten(1)
    return layer(weights, "decisionLayer", active(weights, "groupScaleZero.1", x))


def _with_deviation(x: Tensor) -> Tensor:
    deviation = (x.var(0, unbiased=True) + 1e-8).sqrt().mean()
    return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)
