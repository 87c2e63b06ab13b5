"""Seeds -> latents and labels, the same on every machine."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from torch import Tensor


def seed_latents(seeds: Sequence[int], latent_size: int) -> Tensor:
    """Seed k means `numpy.random.RandomState(k).randn(1, latent_size)`: float32 [N, size]."""
    rows = [np.random.RandomState(seed).randn(1, latent_size) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def seed_labels(seeds: Sequence[int], label_size: int, untrained: Collection[int] = ()) -> Tensor:
    """Without a wish for a class, seed k shows class k mod label_size: float32 [N, label_size].

    Args:
        untrained: Classes that had no training image, which no seed shows; seeds count the others.
    """
    labels = torch.zeros(len(seeds), label_size)
    if label_size:
        shown = torch.tensor(_shown_classes(label_size, untrained))
        labels[torch.arange(len(seeds)), shown[torch.tensor(seeds) % len(shown)]] = 1
    return labels


def class_of_seed(seed: int, label_size: int, untrained: Collection[int] = ()) -> int:
    """The class that a seed shows where none was asked for."""
    shown = _shown_classes(label_size, untrained)
    return shown[seed % len(shown)]


def _shown_classes(label_size: int, untrained: Collection[int]) -> list[int]:
    return sorted(set(range(label_size)) - set(untrained))
