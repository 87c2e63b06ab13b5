"""The random numbers of one batch of augmentations."""

from typing import NamedTuple

import torch
from torch import Tensor

from progan.config import Augment

TRANSFORMS = ("flip", "translate", "zoom", "stretch", "rotate", "shift",
              "brightness", "contrast", "luma", "hue", "saturation")


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
