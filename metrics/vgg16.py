"""Activations of five layers of VGG-16, in which the paper searches neighbours (figure 10).

The layers are the second convolutions of the five blocks (Chen and Koltun 2017), of images of
224x224 as the network was trained on (Simonyan and Zisserman 2015).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 224  # px
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, 0…1
BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # torchvision's layer numbers
COMPARED = (2, 7, 12, 19, 26)
GRID = 14  # px, side of the last block
CHANNELS = (64, 128, 256, 512, 512)  # by block


def is_vgg16(weights: Mapping[str, Any]) -> bool:
    """True for the weights of VGG-16, by all names and shapes."""
    return all(
        isinstance(weights.get(name), Tensor) and weights[name].shape == shape
        for name, shape in _shapes().items()
    )


def build_extractor(
    weights: Mapping[str, Tensor], device: torch.device
) -> Callable[[Tensor, int | None], tuple[Tensor, None]]:
    """Build the network (uint8 [N, 3, H, W], side) -> [N, 288512] from torchvision's weights.

    Every layer is averaged down to the 14x14 of the last one, which makes comparing affordable,
    and scaled to length 1 / sqrt(5), so that no layer outweighs the others.
    """
    parameters = {name: weights[name].to(device) for name in _shapes()}

    def embed(images: Tensor, side: int | None) -> tuple[Tensor, None]:
        size = (side or SIDE,) * 2
        x = F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True)
        mean, deviation = (
            torch.tensor(values, device=device).reshape(-1, 1, 1) for values in (MEAN, DEVIATION)
        )
        x = (x - mean) / deviation
        found = []
        for number, block in enumerate(BLOCKS):
            x = F.max_pool2d(x, 2) if number else x
            for layer in block:
                weight, bias = (parameters[f"features.{layer}.{n}"] for n in ("weight", "bias"))
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
                if layer in COMPARED:
                    pooled = F.adaptive_avg_pool2d(x, GRID).flatten(1)
                    found.append(F.normalize(pooled) / len(BLOCKS) ** 0.5)
        return torch.cat(found, 1), None

    return embed


def _shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the convolutions' tensors by torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    incoming = 3
    for channels, block in zip(CHANNELS, BLOCKS, strict=True):
        for layer in block:
            shapes[f"features.{layer}.weight"] = (channels, incoming, 3, 3)
            shapes[f"features.{layer}.bias"] = (channels,)
            incoming = channels
    return shapes
