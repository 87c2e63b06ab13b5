"""Seeds -> latents and labels, the same on every machine."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from progan.errors import UserError

MOST_SEEDS = 1_000_000


def parse_seeds(text: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]; raises UserError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise UserError(f"--seeds {text!r} is not a list of seeds such as 0-15,20.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= 2**32:
            raise UserError(f"--seeds {part.strip()}: ranges run upwards, to {2**32 - 1} at most.")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise UserError(f"--seeds {text} names more than {MOST_SEEDS:,} pictures. Draw them in "
                            "several calls.")
        seeds.extend(range(first, last + 1))
    return seeds


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
