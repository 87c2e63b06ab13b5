"""Latents -> pictures."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from progan.config import Network
from progan.images import Pixels, to_pixels
from progan.networks import Generator

PIXELS_PER_BATCH = 2**21  # two images of 1024x1024: features of a batch stay below 2 GiB
MAX_BATCH = 64


def render(generator: Generator, latents: Tensor, labels: Tensor, level: int,
           alpha: float = 1.0) -> Pixels:
    """Draw all latents [N, latent_size] at once: uint8 [N, H, W, C].

    Args:
        labels: [N, label_size].
        alpha: Weight of the newest level, 1: fully faded in.
    """
    return np.concatenate(list(batches_of(generator, latents, labels, level, alpha)))


def batches_of(generator: Generator, latents: Tensor, labels: Tensor, level: int,
               alpha: float = 1.0) -> Iterator[Pixels]:
    """Draw the latents batch by batch, in order; arguments and pictures as in `render`."""
    device = next(generator.parameters()).device
    weight = None if alpha == 1 else torch.tensor(alpha, device=device)
    size = batch_size(generator.config, level)
    pieces = zip(torch.split(latents.to(device), size), torch.split(labels.to(device), size),
                 strict=True)
    for z, c in pieces:
        with torch.no_grad():
            yield to_pixels(generator(z, c, level, weight))


def batch_size(network: Network, level: int) -> int:
    """How many images to draw at a time, so that their features need little memory."""
    return max(1, min(MAX_BATCH, PIXELS_PER_BATCH // network.size(level).pixels))
