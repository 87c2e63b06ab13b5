"""Differentiable augmentation of reals and fakes, and its probability (StyleGAN2-ADA).

Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data". All shapes are
static, and random numbers and probability are tensors, so that a step can be compiled and captured.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import Augment

GEOMETRIC_KINDS = ("zoom", "stretch", "rotate", "shift")
COLOR_KINDS = ("brightness", "contrast", "luma", "hue", "saturation")
TRANSFORMS = ("flip", "translate", *GEOMETRIC_KINDS, *COLOR_KINDS)


class AugmentNoise(NamedTuple):
    """Random numbers of N images for all T transforms, used or not.

    So the numbers of one transform do not depend on which others are chosen.
    """

    gates: Tensor  # [N, T] in [0, 1): a transform acts on an image if its gate is below p
    uniform: Tensor  # [N, T, 2] in [0, 1)
    normal: Tensor  # [N, T], standard normal

    def is_active(self, name: str, p: Tensor) -> Tensor:
        """Select the images that a transform changes: bool [N], true with probability `p` (0-d)."""
        return self.gates[:, TRANSFORMS.index(name)] < p

    def uniform01(self, name: str, number: int = 0) -> Tensor:
        """Return the first or second number of a transform, uniform in [0, 1): [N]."""
        return self.uniform[:, TRANSFORMS.index(name), number]

    def uniform_signed(self, name: str, number: int = 0) -> Tensor:
        """Return the first or second number of a transform, uniform in [-1, 1): [N]."""
        return self.uniform01(name, number) * 2 - 1

    def gaussian(self, name: str) -> Tensor:
        """Return the standard normal number of a transform: [N]."""
        return self.normal[:, TRANSFORMS.index(name)]


def draw_augment_noise(config: Augment, n: int, generator: torch.Generator) -> AugmentNoise:
    """Generate the random numbers for `n` images on the generator's device."""
    shape, device = (n, len(TRANSFORMS)), generator.device
    uniform = torch.rand(*shape, 2, generator=generator, device=device)
    normal = torch.randn(shape, generator=generator, device=device)
    gates = torch.rand(shape, generator=generator, device=device)
    return AugmentNoise(
        gates[:, :1].expand(shape) if config.augment_together else gates, uniform, normal
    )


# Filter taps from the middle outwards; the sums over all taps are 1.
DOUBLING = (
    0.60294901823635789,
    0.26686411844287490,
    -0.07822326652899013,
    -0.01686411844287496,
    0.02674875741080975,
)
HALVING = (0.55754352622850031, 0.29563588155712515, -0.02877176311425014, -0.04563588155712508)
MARGIN = len(HALVING) - 1  # positions that halving needs beyond the border


def resample_at_inverse(images: Tensor, inverse: Tensor) -> Tensor:
    """Resample images: each pixel of the result shows the source at `inverse` of its position.

    Args:
        images: [N, C, H, W], H and W at least 3; beyond the borders, their mirror image.
        inverse: [N, 2, 3], (x, y, 1) -> (x, y), in pixels from the centre, y downwards.
    """
    h, w = images.shape[2:]
    double = _upsample_last_axis(
        _upsample_last_axis(images).mT
    ).mT  # [N, C, 2H-1, 2W-1]: between two pixels one more
    sampled = F.grid_sample(
        double,
        _make_sampling_grid(inverse, h, w).to(images.dtype),
        mode="bilinear",
        padding_mode="reflection",
        align_corners=True,
    )
    return _downsample_last_axis(_downsample_last_axis(sampled).mT).mT


def _make_sampling_grid(inverse: Tensor, h: int, w: int) -> Tensor:
    """Return the grid for `F.grid_sample`, -1…1 from first to last pixel: [N, 2H+5, 2W+5, 2]."""
    x = torch.arange(-MARGIN, 2 * w - 1 + MARGIN, device=inverse.device) / 2 - (w - 1) / 2
    y = torch.arange(-MARGIN, 2 * h - 1 + MARGIN, device=inverse.device) / 2 - (h - 1) / 2
    along_x, along_y, start = inverse[:, None, None].unbind(-1)  # each [N, 1, 1, 2]: of x and y
    sources = along_x * x[:, None] + along_y * y[:, None, None] + start
    return torch.stack([sources[..., 0] * (2 / (w - 1)), sources[..., 1] * (2 / (h - 1))], dim=-1)


def _upsample_last_axis(x: Tensor) -> Tensor:
    """Double the density of pixels along the last axis: […, W] -> […, 2W-1]."""
    padded = F.pad(x, (2, 2, 0, 0), mode="reflect")

    def at(offset: int) -> Tensor:
        return padded.narrow(-1, 2 + offset, x.shape[-1])

    k = DOUBLING
    even = at(0) * k[0] + (at(-1) + at(1)) * k[2] + (at(-2) + at(2)) * k[4]
    odd = (at(0) + at(1)) * k[1] + (at(-1) + at(2)) * k[3]
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :-1] * 2


def _downsample_last_axis(x: Tensor) -> Tensor:
    """Halve the density along the last axis, using up a margin: […, 2W-1 + 2 MARGIN] -> […, W]."""
    length = x.shape[-1] - 2 * MARGIN

    def at(offset: int) -> Tensor:
        return x.narrow(-1, MARGIN + offset, length)[..., ::2]

    k = HALVING
    return (
        at(0) * k[0] + (at(-1) + at(1)) * k[1] + (at(-2) + at(2)) * k[2] + (at(-3) + at(3)) * k[3]
    )


def flip_and_translate_by_pixels(
    images: Tensor, p: Tensor, noise: AugmentNoise, config: Augment
) -> Tensor:
    """Flip left to right and translate by whole pixels, mirrored at the borders: [N, C, H, W].

    A flip that acts turns the image round in half of the cases only. If it always did, left and
    right would be equally likely at p = 0.5, and the generator could not distinguish them
    (appendix C).
    """
    if "flip" in config.kinds:
        flipped = noise.is_active("flip", p) & (noise.uniform01("flip") < 0.5)
        images = torch.where(flipped[:, None, None, None], images.flip(3), images)
    if "translate" in config.kinds:
        n, c, h, w = images.shape
        acts = noise.is_active("translate", p)
        rows = _shift_indices_randomly(
            h, noise.uniform01("translate", 0), acts, config.augment_translate
        )
        columns = _shift_indices_randomly(
            w, noise.uniform01("translate", 1), acts, config.augment_translate
        )
        images = images.gather(2, rows[:, None, :, None].expand(n, c, h, w))
        images = images.gather(3, columns[:, None, None, :].expand(n, c, h, w))
    return images


def _shift_indices_randomly(size: int, fraction: Tensor, acts: Tensor, farthest: float) -> Tensor:
    """Return the source index of each pixel after a random shift where `acts`: int64 [N, size]."""
    most = round(farthest * size)
    distance = (fraction * (2 * most + 1)).floor().long() - most  # uniform in -most…most
    distance = torch.where(acts, distance, torch.zeros_like(distance))
    indices = torch.arange(size, device=fraction.device)[None] - distance[:, None]
    return reflect_indices(indices, size)


def reflect_indices(indices: Tensor, size: int) -> Tensor:
    """Fold indices into 0…size-1, as in an endless mirror at the first and the last pixel."""
    indices = indices.remainder(2 * (size - 1))
    return torch.minimum(indices, 2 * (size - 1) - indices)


def transform_geometry(images: Tensor, p: Tensor, noise: AugmentNoise, config: Augment) -> Tensor:
    """Zoom, stretch, rotate about the centre, and shift by fractions of pixels: [N, C, H, W].

    Images that no transform acts on are returned bit by bit. Pixels stay square, whatever H and W.
    """
    acts = {name: noise.is_active(name, p) for name in GEOMETRIC_KINDS if name in config.kinds}
    if not acts:
        return images
    h, w = images.shape[2:]
    ones = torch.ones_like(noise.gates[:, 0])
    zeros = torch.zeros_like(ones)

    def select_if_active(name: str, value: Tensor, otherwise: Tensor) -> Tensor:
        return torch.where(acts[name], value, otherwise) if name in acts else otherwise

    zoom = select_if_active("zoom", (1 + config.augment_zoom) ** noise.uniform_signed("zoom"), ones)
    stretch = select_if_active(
        "stretch", (1 + config.augment_stretch) ** noise.uniform_signed("stretch"), ones
    )
    angle = select_if_active(
        "rotate", noise.uniform_signed("rotate") * (2 * math.pi * config.augment_rotate), zeros
    )
    right = select_if_active(
        "shift", noise.uniform_signed("shift", 0) * (config.augment_translate * w), zeros
    )
    down = select_if_active(
        "shift", noise.uniform_signed("shift", 1) * (config.augment_translate * h), zeros
    )

    inverse = compute_inverse_map(zoom * stretch, zoom / stretch, angle, right, down)
    touched = torch.stack(list(acts.values())).any(dim=0)
    return torch.where(touched[:, None, None, None], resample_at_inverse(images, inverse), images)


def compute_inverse_map(
    wider: Tensor, taller: Tensor, angle: Tensor, right: Tensor, down: Tensor
) -> Tensor:
    """Map a position (x, y, 1) in the result to (x, y) in the source: [N, 2, 3].

    The forward map is T(right, down) R(angle) S(wider, taller), in pixels from the centre, y
    downwards; a positive angle (radians) turns clockwise. Written out instead of multiplied:
    matrix products in TF32 would misplace pixels.
    """
    cos, sin = angle.cos(), angle.sin()
    x = torch.stack([cos, sin, -(cos * right + sin * down)], dim=1) / wider[:, None]
    y = torch.stack([-sin, cos, sin * right - cos * down], dim=1) / taller[:, None]
    return torch.stack([x, y], dim=1)


def recolor(images: Tensor, p: Tensor, noise: AugmentNoise, config: Augment) -> Tensor:
    """Change brightness, contrast, luma sign, hue and saturation: [N, C, H, W].

    Grey images (C < 3) have only brightness and contrast; a channel of opacity (C of 2 or 4) stays
    as it is. Like the paper's, results may leave [-1, 1]. Images that no transform acts on are
    returned bit by bit.
    """
    if "color" not in config.kinds:
        return images
    channels = images.shape[1]
    colors, opacity = images.split([3, channels - 3] if channels >= 3 else [1, channels - 1], dim=1)
    names = COLOR_KINDS if channels >= 3 else COLOR_KINDS[:2]
    acts = {name: noise.is_active(name, p) for name in names}
    strength = config.augment_color
    ones = torch.ones_like(noise.gates[:, 0])
    zeros = torch.zeros_like(ones)

    def select_if_active(name: str, value: Tensor, otherwise: Tensor) -> Tensor:
        chosen = torch.where(acts[name], value, otherwise) if name in acts else otherwise
        return chosen[:, None, None, None].to(images.dtype)

    brightness = select_if_active(
        "brightness", noise.gaussian("brightness") * (0.2 * strength), zeros
    )
    contrast = select_if_active(
        "contrast", 2 ** (noise.gaussian("contrast") * (0.5 * strength)), ones
    )
    luma_sign = select_if_active(
        "luma", torch.where(noise.uniform01("luma") < 0.5, -ones, ones), ones
    )
    angle = select_if_active("hue", noise.uniform_signed("hue") * (math.pi * strength), zeros)
    saturation = select_if_active(
        "saturation", 2 ** (noise.gaussian("saturation") * strength), ones
    )

    luma = colors.mean(dim=1, keepdim=True)
    chroma = rotate_hue(colors - luma, angle) * (contrast * saturation)
    changed = (luma + brightness) * (contrast * luma_sign) + chroma
    touched = torch.stack(list(acts.values())).any(dim=0)
    colors = torch.where(touched[:, None, None, None], changed, colors)
    return torch.cat([colors, opacity], dim=1)


def rotate_hue(chroma: Tensor, angle: Tensor) -> Tensor:
    """Rotate chroma [N, C, H, W], whose channels sum to 0, about the grey axis by radians.

    Rodrigues' formula without the term along the axis; for grey images chroma is 0.
    """
    perpendicular = (chroma.roll(1, dims=1) - chroma.roll(-1, dims=1)) / math.sqrt(3)  # axis x c
    return chroma * angle.cos() + perpendicular * angle.sin()


def augment(images: Tensor, p: Tensor, noise: AugmentNoise, config: Augment) -> Tensor:
    """Apply each configured transform to each image with probability `p`, as in appendix B.

    Args:
        images: [N, C, H, W] in [-1, 1], on the device of the noise; H and W at least 4.
        p: 0-d in [0, 1], where 0 returns the images bit by bit.
        noise: From `draw_augment_noise`, for N images.

    Returns:
        Images of the same shape and dtype.

    The result is linear in the images but for a constant, so all derivatives exist. Geometry and
    colour may overshoot [-1, 1].
    """
    # In half precision the positions of neighbouring pixels would coincide.
    result = images.to(torch.promote_types(images.dtype, torch.float32))
    for stage in (flip_and_translate_by_pixels, transform_geometry, recolor):
        result = stage(result, p, noise, config)
    return result.to(images.dtype)


def compute_next_probability(p: Tensor, real_accuracy: Tensor, config: Augment) -> Tensor:
    """Return the augmentation probability after one more step: 0-d in [0, 1].

    The mean sign of real scores, r_t of section 3, is 2 x accuracy - 1. With
    error = real_accuracy - augment_accuracy:
        proportional: p + error / augment_steps (A. Béres' Keras example, "Data-efficient GANs
            with Adaptive Discriminator Augmentation")
        constant: p + sign(error) / augment_steps (section 3)
    """
    error = real_accuracy - config.augment_accuracy
    if config.augment_control == "constant":
        error = error.sign()
    return (p + error / config.augment_steps).clamp(0, 1)
