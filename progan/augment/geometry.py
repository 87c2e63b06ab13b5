"""Geometric transforms (appendix B): one affine map per image, resampled once."""

import math

import torch
from torch import Tensor

from progan.augment.draws import Draws
from progan.augment.resampling import resample
from progan.config import Augment

KINDS = ("zoom", "stretch", "rotate", "shift")


def transform(images: Tensor, p: Tensor, draws: Draws, config: Augment) -> Tensor:
    """Zoom, stretch, rotate about the centre, and shift by fractions of pixels: [N, C, H, W].

    Images that no transform acts on are returned bit by bit. Pixels stay square, whatever H and W.
    """
    acts = {name: draws.acts(name, p) for name in KINDS if name in config.kinds}
    if not acts:
        return images
    h, w = images.shape[2:]
    ones = torch.ones_like(draws.gates[:, 0])
    zeros = torch.zeros_like(ones)

    def amount(name: str, value: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(acts[name], value, otherwise) if name in acts else otherwise

    zoom = amount("zoom", (1 + config.augment_zoom) ** draws.signed("zoom"), ones)
    stretch = amount("stretch", (1 + config.augment_stretch) ** draws.signed("stretch"), ones)
    angle = amount("rotate", draws.signed("rotate") * (2 * math.pi * config.augment_rotate), zeros)
    right = amount("shift", draws.signed("shift", 0) * (config.augment_translate * w), zeros)
    down = amount("shift", draws.signed("shift", 1) * (config.augment_translate * h), zeros)

    inverse = inverse_map(zoom * stretch, zoom / stretch, angle, right, down)
    touched = torch.stack(list(acts.values())).any(dim=0)
    return torch.where(touched[:, None, None, None], resample(images, inverse), images)


def inverse_map(wider: Tensor, taller: Tensor, angle: Tensor, right: Tensor, down: Tensor
                ) -> Tensor:
    """[N, 2, 3]: the place (x, y, 1) in the result -> the place (x, y) in the image it shows.

    Forth it is T(right, down) R(angle) S(wider, taller), in pixels from the centre, y downwards;
    a positive angle (radians) turns clockwise. Written out instead of multiplied: matrix products
    in TF32 would misplace pixels.
    """
    cos, sin = angle.cos(), angle.sin()
    x = torch.stack([cos, sin, -(cos * right + sin * down)], dim=1) / wider[:, None]
    y = torch.stack([-sin, cos, sin * right - cos * down], dim=1) / taller[:, None]
    return torch.stack([x, y], dim=1)
