"""Laplacian pyramids of images (Burt and Adelson 1983), as in section 5 of the paper.

Level 0 holds what only the full resolution shows, level 1 what half of it adds, and so on; the
last level is the small image that remains:

    gaussian(0) = image,  gaussian(k + 1) = down(gaussian(k))
    level(k) = gaussian(k) - up(gaussian(k + 1)),  level(last) = gaussian(last)

Images are float32 [N, C, H, W], 0…255, as in the official code.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from metrics.filters import smooth

TAPS = tuple(weight / 16 for weight in (1, 4, 6, 4, 1))


def down(images: Tensor) -> Tensor:
    """Smooth and keep every second pixel: [N, C, H, W] -> [N, C, H/2, W/2], H and W even."""
    return smooth(_mirrored(images), TAPS, stride=2)


def up(images: Tensor) -> Tensor:
    """Put zeros between the pixels and smooth: [N, C, H, W] -> [N, C, 2H, 2W]."""
    n, c, h, w = images.shape
    spread = images.new_zeros(n, c, 2 * h, 2 * w)
    spread[:, :, ::2, ::2] = images
    # Three of four pixels are zeros: twice the weight along each axis keeps the brightness.
    return smooth(_mirrored(spread), [2 * tap for tap in TAPS])


def level(images: Tensor, index: int, num_levels: int) -> Tensor:
    """One level of the pyramid alone: [N, C, H, W] -> [N, C, H/2^index, W/2^index]."""
    for _ in range(index):
        images = down(images)
    return images if index == num_levels - 1 else images - up(down(images))


def pyramid(images: Tensor, num_levels: int) -> list[Tensor]:
    """All levels, full resolution first: [N, C, H, W] -> [N, C, H/2^k, W/2^k] for each k."""
    gaussians = [images]
    for _ in range(1, num_levels):
        gaussians.append(down(gaussians[-1]))
    details = [fine - up(coarse) for fine, coarse in zip(gaussians, gaussians[1:], strict=False)]
    return [*details, gaussians[-1]]


def reconstruct(levels: Sequence[Tensor]) -> Tensor:
    """The images of a pyramid: the inverse of `pyramid`."""
    images = levels[-1]
    for details in reversed(levels[:-1]):
        images = up(images) + details
    return images


def _mirrored(images: Tensor) -> Tensor:
    """Two more pixels at each border, mirrored at the centre of the outermost one."""
    reach = len(TAPS) // 2
    return F.pad(images, (reach,) * 4, mode="reflect")
