"""Render images from latents."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.config import Network
from progan.images import Pixels, to_pixels
from progan.networks import Generator
from progan.ops import make_alpha
from progan.sampling.snapshot_file import Snapshot

PIXELS_PER_BATCH = 2**21  # two images of 1024x1024: features of a batch stay below 2 GiB
MAX_BATCH = 64


def render_single(snapshot: Snapshot, latents: Tensor, labels: Tensor) -> Iterator[Tensor]:
    """Generate each image by itself, so that its bits do not depend on the others.

    Kernels for other batch sizes add in another order, which changes a byte in some thousands.

    Args:
        latents, labels: [N, latent_size] and [N, label_size].

    Yields:
        [1, channels, H, W] on the network's device, with [-1, 1] meaning black to white.
    """
    device = next(snapshot.generator.parameters()).device
    alpha = make_alpha(snapshot.alpha, device)
    for z, c in zip(latents.to(device).split(1), labels.to(device).split(1), strict=True):
        with torch.no_grad():
            yield snapshot.generator(z, c, snapshot.level, alpha)


def render(
    generator: Generator, latents: Tensor, labels: Tensor, level: int, alpha: float = 1.0
) -> Pixels:
    """Generate images of latents [N, latent_size] in batches: uint8 [N, H, W, C].

    Args:
        labels: [N, label_size].
        alpha: Weight of the highest level; 1: fully faded in.
    """
    return np.concatenate(list(render_batches(generator, latents, labels, level, alpha)))


def render_batches(
    generator: Generator, latents: Tensor, labels: Tensor, level: int, alpha: float = 1.0
) -> Iterator[Pixels]:
    """Yield the images batch by batch, in order; arguments and images as in `render`."""
    device = next(generator.parameters()).device
    weight = make_alpha(alpha, device)
    size = batch_size(generator.config, level)
    for z, c in zip(latents.to(device).split(size), labels.to(device).split(size), strict=True):
        with torch.no_grad():
            pixels = to_pixels(generator(z, c, level, weight))
        yield pixels


def batch_size(network: Network, level: int) -> int:
    """Return the number of images per batch whose features need little memory."""
    return max(1, min(MAX_BATCH, PIXELS_PER_BATCH // network.size(level).pixels))


def to_uint8_pixels(image: Tensor) -> Pixels:
    """Convert [1, C, H, W] in [-1, 1] to uint8 [H, W, C]."""
    pixels: Pixels = to_pixels(image)[0]
    return pixels


def to_unclipped_floats(image: Tensor) -> npt.NDArray[np.float32]:
    """Convert [1, C, H, W] to float32 [H, W, C], without clipping to [-1, 1]."""
    floats: npt.NDArray[np.float32] = image[0].permute(1, 2, 0).float().cpu().numpy()
    return np.ascontiguousarray(floats)
