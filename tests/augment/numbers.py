"""Draws with chosen numbers instead of random ones."""

import torch

from progan.augment import TRANSFORMS, AugmentNoise, draw_augment_noise
from progan.config import Augment


def chosen(n: int = 1, **numbers: float | tuple[float, float]) -> AugmentNoise:
    """Draws whose named transforms act, at any p > 0, on all images with these numbers.

    A pair are the two uniform numbers in [0, 1); a single one is the first of them, and the
    normal number.
    """
    shape = (n, len(TRANSFORMS))
    draws = AugmentNoise(
        torch.ones(shape).double(), torch.zeros(*shape, 2).double(), torch.zeros(shape).double()
    )
    for name, number in numbers.items():
        column = TRANSFORMS.index(name)
        draws.gates[:, column] = 0
        pair = number if isinstance(number, tuple) else (number, 0.0)
        draws.uniform[:, column] = torch.tensor(pair, dtype=torch.float64)
        draws.normal[:, column] = pair[0]
    return draws


def drawn(config: Augment, n: int, seed: int = 0) -> AugmentNoise:
    return draw_augment_noise(config, n, torch.Generator().manual_seed(seed))
