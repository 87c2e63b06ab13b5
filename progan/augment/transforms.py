"""Differentiable transformations of images (blitting, geometry, colour), and their noise."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import Augment

TRANSFORMS = (
    "flip",
    "translate",
    "zoom",
    "stretch",
    "rotate",
    "shift",
    "brightness",
    "contrast",
    "luma",
    "hue",
    "saturation",
)


class Draws(NamedTuple):
    """One row per image and one column per transform, whether it is used or not.

    So the numbers of one transform do not depend on which others are chosen.
    """

    gates: Tensor  # [N, T] in [0, 1): a transform acts on an image if its gate is below p
    uniform: Tensor  # [N, T, 2] in [0, 1)
    normal: Tensor  # [N, T], standard normal

    def acts(self, name: str, p: Tensor) -> Tensor:
        """Whether a transform acts on each image: bool [N], true with probability `p` (0-d)."""
        return self.gates[:, TRANSFORMS.index(name)] < p

    def fraction(self, name: str, number: int = 0) -> Tensor:
        """First or second number of a transform, uniform in [0, 1): [N]."""
        return self.uniform[:, TRANSFORMS.index(name), number]

    def signed(self, name: str, number: int = 0) -> Tensor:
        """First or second number of a transform, uniform in [-1, 1): [N]."""
        return self.fraction(name, number) * 2 - 1

    def gaussian(self, name: str) -> Tensor:
        """Number of a transform, standard normal: [N]."""
        return self.normal[:, TRANSFORMS.index(name)]


def draw(config: Augment, n: int, generator: torch.Generator) -> Draws:
    """Draw the numbers for `n` images on the generator's device; the same generator, the same."""
    shape, device = (n, len(TRANSFORMS)), generator.device
    uniform = torch.rand(*shape, 2, generator=generator, device=device)
    normal = torch.randn(shape, generator=generator, device=device)
    gates = torch.rand(shape, generator=generator, device=device)
    return Draws(gates[:, :1].expand(shape) if config.augment_together else gates, uniform, normal)


# From the middle outwards; the sums over all taps are 1.
DOUBLING = (
    0.60294901823635789,
    0.26686411844287490,
    -0.07822326652899013,
    -0.01686411844287496,
    0.02674875741080975,
)
HALVING = (0.55754352622850031, 0.29563588155712515, -0.02877176311425014, -0.04563588155712508)
MARGIN = len(HALVING) - 1  # places that halving needs beyond the border


def resample(images: Tensor, inverse: Tensor) -> Tensor:
    """Show at each place of the result what the image has at `inverse` of it: [N, C, H, W].

    Args:
        images: [N, C, H, W], H and W at least 3; beyond the borders, their mirror image.
        inverse: [N, 2, 3], (x, y, 1) -> (x, y), in pixels from the centre, y downwards.
    """
    h, w = images.shape[2:]
    double = _doubled(_doubled(images).mT).mT  # [N, C, 2H-1, 2W-1]: between two pixels one more
    sampled = F.grid_sample(
        double,
        _grid(inverse, h, w).to(images.dtype),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=True,
    )
    return _halved(_halved(sampled).mT).mT


def _grid(inverse: Tensor, h: int, w: int) -> Tensor:
    """Where to sample, -1…1 from the first pixel to the last: [N, 2H+5, 2W+5, 2]."""
    x = torch.arange(-MARGIN, 2 * w - 1 + MARGIN, device=inverse.device) / 2 - (w - 1) / 2
    y = torch.arange(-MARGIN, 2 * h - 1 + MARGIN, device=inverse.device) / 2 - (h - 1) / 2
    along_x, along_y, start = inverse[:, None, None].unbind(-1)  # each [N, 1, 1, 2]: of x and y
    sources = along_x * x[:, None] + along_y * y[:, None, None] + start
    return torch.stack([sources[..., 0] * (2 / (w - 1)), sources[..., 1] * (2 / (h - 1))], dim=-1)


def _doubled(x: Tensor) -> Tensor:
    """[…, W] -> […, 2W-1]."""
    padded = F.pad(x, (2, 2, 0, 0), mode="reflect")

    def at(offset: int) -> Tensor:
        return padded.narrow(-1, 2 + offset, x.shape[-1])

    k = DOUBLING
    even = at(0) * k[0] + (at(-1) + at(1)) * k[2] + (at(-2) + at(2)) * k[4]
    odd = (at(0) + at(1)) * k[1] + (at(-1) + at(2)) * k[3]
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :-1] * 2


def _halved(x: Tensor) -> Tensor:
    """[…, 2W-1 + 2 MARGIN] -> […, W]."""
    length = x.shape[-1] - 2 * MARGIN

    def at(offset: int) -> Tensor:
        return x.narrow(-1, MARGIN + offset, length)[..., ::2]

    k = HALVING
    return (
        at(0) * k[0] + (at(-1) + at(1)) * k[1] + (at(-2) + at(2)) * k[2] + (at(-3) + at(3)) * k[3]
    )


def blit(images: Tensor, p: Tensor, draws: Draws, config: Augment) -> Tensor:
    """Flip left to right and translate by whole pixels, mirrored at the borders: [N, C, H, W].

    A flip that acts turns the image round in half of the cases only. If it always did, left and
    right would be equally likely at p = 0.5, and the generator could not tell them (appendix C).
    """
    if "flip" in config.kinds:
        flipped = draws.acts("flip", p) & (draws.fraction("flip") < 0.5)
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    if "translate" in config.kinds:
        n, c, h, w = images.shape
        acts = draws.acts("translate", p)
        rows = _sources(h, draws.fraction("translate", 0), acts, config.augment_translate)
        columns = _sources(w, draws.fraction("translate", 1), acts, config.augment_translate)
        images = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
        images = images.gather(3, columns[:, None, None, :].expand(n, c, h, w))
    return images


def _sources(size: int, fraction: Tensor, acts: Tensor, farthest: float) -> Tensor:
    """Where each of `size` pixels comes from: int64 [N, size]."""
    most = round(farthest * size)
    distance = (fraction * (2 * most + 1)).floor().long() - most  # uniform in -most…most
    distance = torch.where(acts, distance, torch.zeros_like(distance))
    places = torch.arange(size, device=fraction.device)[None] - distance[:, None]
    return mirrored(places, size)


def mirrored(places: Tensor, size: int) -> Tensor:
    """Fold indices into 0…size-1, as in an endless mirror at the first and the last pixel."""
    places = places.remainder(2 * (size - 1))
    return torch.minimum(places, 2 * (size - 1) - places)


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


def inverse_map(
    wider: Tensor, taller: Tensor, angle: Tensor, right: Tensor, down: Tensor
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
