"""Pixel blitting (appendix B): pixels change places, and no value changes."""

import torch
from torch import Tensor

from progan.augment.draws import Draws
from progan.config import Augment


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
