"""Colour transforms (appendix B), written on luma (the mean of the channels) and chroma (the rest).

The five 4x4 matrices of the paper turn and scale colours about the grey axis (1, 1, 1)/sqrt(3), so
each acts on luma or on chroma alone. Without matrix products, TF32 cannot coarsen colours.
"""

import math

import torch
from torch import Tensor

from progan.augment.draws import Draws
from progan.config import Augment

NAMES = ("brightness", "contrast", "luma", "hue", "saturation")


def recolor(images: Tensor, p: Tensor, draws: Draws, config: Augment) -> Tensor:
    """Brightness, contrast, luma flip, hue and saturation, each with probability p: [N, C, H, W].

    Grey images (C < 3) have only brightness and contrast; a channel of opacity (C of 2 or 4) stays
    as it is. Like the paper's, results may leave [-1, 1]. Images that no transform acts on are
    returned bit by bit.
    """
    if "color" not in config.kinds:
        return images
    channels = images.shape[1]
    colors, opacity = images.split([3, channels - 3] if channels >= 3 else [1, channels - 1], dim=1)
    names = NAMES if channels >= 3 else NAMES[:2]
    acts = {name: draws.acts(name, p) for name in names}
    strength = config.augment_color
    ones = torch.ones_like(draws.gates[:, 0])
    zeros = torch.zeros_like(ones)

    def amount(name: str, value: Tensor, otherwise: Tensor) -> Tensor:
        chosen = torch.where(acts[name], value, otherwise) if name in acts else otherwise
        return chosen[:, None, None, None].to(images.dtype)

    brightness = amount("brightness", draws.gaussian("brightness") * (0.2 * strength), zeros)
    contrast = amount("contrast", 2 ** (draws.gaussian("contrast") * (0.5 * strength)), ones)
    luma_sign = amount("luma", torch.where(draws.fraction("luma") < 0.5, -ones, ones), ones)
    angle = amount("hue", draws.signed("hue") * (math.pi * strength), zeros)
    saturation = amount("saturation", 2 ** (draws.gaussian("saturation") * strength), ones)

    luma = colors.mean(dim=1, keepdim=True)
    chroma = turned_hue(colors - luma, angle) * (contrast * saturation)
    changed = (luma + brightness) * (contrast * luma_sign) + chroma
    touched = torch.stack(list(acts.values())).any(dim=0)
    colors = torch.where(touched[:, None, None, None], changed, colors)
    return torch.cat([colors, opacity], dim=1)


def turned_hue(chroma: Tensor, angle: Tensor) -> Tensor:
    """Turn chroma [N, C, H, W], whose channels sum to 0, about the grey axis by `angle` (radians).

    Rodrigues' formula without the term along the axis; for grey images chroma is 0.
    """
    perpendicular = (chroma.roll(1, dims=1) - chroma.roll(-1, dims=1)) / math.sqrt(3)  # axis x c
    return chroma * angle.cos() + perpendicular * angle.sin()
