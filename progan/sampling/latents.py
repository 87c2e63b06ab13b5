"""Seeds -> latents and labels, the same on every machine."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def seed_latents(seeds: Sequence[int], latent_size: int) -> Tensor:
    """Seed k means `numpy.random.RandomState(k).randn(1, latent_size)`: float32 [N, size]."""
    rows = [np.random.RandomState(seed).randn(1, latent_size) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def seed_labels(seeds: Sequence[int], label_size: int) -> Tensor:
    """Without a wish for a class, seed k shows class k mod label_size: float32 [N, label_size]."""
    labels = torch.zeros(len(seeds), label_size)
    if label_size:
        labels[torch.arange(len(seeds)), torch.tensor(seeds) % label_size] = 1
    return labels
