"""Smoothing and Laplacian pyramids (Burt and Adelson 1983), as in section 5 of the paper.

Level 0 has the finest details, level 1 those of half the resolution, and so on; the last level is
the small image that remains:

    gaussian(0) = image,  gaussian(k + 1) = down(gaussian(k))
    level(k) = gaussian(k) - up(gaussian(k + 1)),  level(last) = gaussian(last)

Images are float32 [N, C, H, W], 0…255, as in the official code.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

PYRAMID_TAPS = tuple(weight / 16 for weight in (1, 4, 6, 4, 1))


def smooth(images: Tensor, taps: Sequence[float], stride: int = 1) -> Tensor:
    """Convolve with a separable symmetric kernel, without padding.

    Args:
        images: float32 [N, C, H, W].
        taps: Symmetric kernel of one axis, [K].
        stride: Step between rows and columns of the result.

    Returns:
        float32 [N, C, ceil((H - K + 1) / stride), ceil((W - K + 1) / stride)].
    """
    # Sums of shifted views: several times faster on the CPU than a convolution for each channel.
    return _smooth_along(_smooth_along(images, taps, stride, 2), taps, stride, 3)


def _smooth_along(images: Tensor, taps: Sequence[float], stride: int, axis: int) -> Tensor:
    half, last = len(taps) // 2, len(taps) - 1
    length = (images.shape[axis] - len(taps)) // stride * stride + 1
    every = (slice(None),) * axis + (slice(None, None, stride),)
    shifted = [images.narrow(axis, offset, length)[every] for offset in range(len(taps))]
    total = shifted[half] * (taps[half] if len(taps) % 2 else 0.0)  # even kernels have no middle
    for offset in range(half):
        total.add_(shifted[offset] + shifted[last - offset], alpha=taps[offset])
    return total


def downsample(images: Tensor) -> Tensor:
    """Smooth and keep every second pixel: [N, C, H, W] -> [N, C, H/2, W/2], H and W even."""
    reach = len(PYRAMID_TAPS) // 2
    return smooth(F.pad(images, (reach,) * 4, mode="reflect"), PYRAMID_TAPS, stride=2)


def upsample(images: Tensor) -> Tensor:
    """Put zeros between the pixels and smooth: [N, C, H, W] -> [N, C, 2H, 2W]."""
    return _upsample_along(_upsample_along(images, 2), 3)


def _upsample_along(images: Tensor, axis: int) -> Tensor:
    """Upsample one axis: three of the five taps fall on pixels at even places, two at odd ones."""
    length = images.shape[axis]
    # The image with its zeros ends in a zero, so mirroring it there repeats the last pixel.
    bordered = torch.cat([images.narrow(axis, 1, 1), images, images.narrow(axis, -1, 1)], axis)
    before, here, after = (bordered.narrow(axis, offset, length) for offset in range(3))
    # Half of the pixels are zeros: twice the weight keeps the brightness.
    pixels = (before + after).mul_(2 * PYRAMID_TAPS[0]).add_(here, alpha=2 * PYRAMID_TAPS[2])
    between = (here + after).mul_(2 * PYRAMID_TAPS[1])
    return torch.stack([pixels, between], axis + 1).flatten(axis, axis + 1)


def laplacian_pyramid(images: Tensor, levels: range, num_levels: int) -> list[Tensor]:
    """Return some levels k of a pyramid: images [N, C, H, W] -> [N, C, H/2^k, W/2^k] each."""
    details = []
    for index in range(levels.stop):
        smaller = images if index == num_levels - 1 else downsample(images)
        if index in levels:
            details.append(images if index == num_levels - 1 else images - upsample(smaller))
        images = smaller
    return details


def reconstruct(levels: Sequence[Tensor]) -> Tensor:
    """Return the images of a pyramid: the inverse of `laplacian_pyramid`."""
    images = levels[-1]
    for details in reversed(levels[:-1]):
        images = upsample(images) + details
    return images
