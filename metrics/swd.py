"""Sliced Wasserstein distance between the patches of two sets of images (paper, section 5).

For each level of the Laplacian pyramid, patches of both sets are compared as two clouds of
points. In one dimension the Wasserstein distance of two clouds of n points is the mean distance
of their sorted values (Rabin et al. 2011); here it is averaged over random projections:

    SWD(A, B) = mean over unit vectors d, and over i, of |sort(A d)_i - sort(B d)_i|
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from metrics.draws import Draw, Size
from metrics.laplacian import level
from progan.errors import UserError
from progan.runtime.seeding import generator

PATCH = 7  # px
PATCHES_PER_IMAGE = 128
DIRECTION_SETS = 4
DIRECTIONS_PER_SET = 128
SMALLEST_LEVEL = 16  # px
SCALE = 1e3  # distances are small: the paper prints them times a thousand


def measure(images: Draw, reals: Draw, *, seed: int, device: torch.device) -> dict[str, float]:
    """SWD x1e3 by resolution, 'SWDx1e3_64' and so on down to 16, and the mean 'SWDx1e3_avg'.

    The descriptors of one level at a time are held: 75 kB for each RGB image of each set.
    """
    side = min(images.size.height, images.size.width)
    distances = {}
    for index in range(num_levels(images.size)):
        first = descriptors(images, index, seed, "images", device)
        second = descriptors(reals, index, seed, "reals", device)
        distance = sliced_wasserstein(first, second, directions(first.shape[1], seed, index))
        distances[f"SWDx1e3_{side >> index}"] = SCALE * distance
    return {**distances, "SWDx1e3_avg": sum(distances.values()) / len(distances)}


def require(size: Size, num_images: int) -> None:
    """Raise UserError unless the images can be halved down to the smallest level."""
    factor = 1 << max(num_levels(size) - 1, 0)
    if min(size.height, size.width) < SMALLEST_LEVEL or size.height % factor or size.width % factor:
        raise UserError(f"swd cannot measure images of {size}: both sides must be at least "
                        f"{SMALLEST_LEVEL} px, and here multiples of {factor} so that they can "
                        "be halved. Use images of 64x64 or 128x128, for example.")


def num_levels(size: Size) -> int:
    """Levels of the pyramid down to the one whose smaller side is at least 16 px."""
    return (min(size.height, size.width) // SMALLEST_LEVEL).bit_length()


def descriptors(draw: Draw, index: int, seed: int, role: str, device: torch.device) -> Tensor:
    """Normalised random patches of one level of all images: float32 [count * 128, C * 49]."""
    # Drawn on the CPU: a seed means the same patches on every machine.
    random = generator("cpu", seed, "patches", role, index)
    channels = draw.size.channels
    patches = torch.empty(draw.count, PATCHES_PER_IMAGE, channels, PATCH, PATCH, device=device)
    done = 0
    for images in draw.batches(device):
        details = level(images, index, num_levels(draw.size))
        patches[done:done + len(images)] = patches_at(details, corners(details, random))
        done += len(images)
    return normalized(patches.flatten(0, 1))


def corners(images: Tensor, random: torch.Generator) -> Tensor:
    """Where patches begin, every place alike: int64 [2 (row, column), N, 128], on the CPU."""
    n, _, h, w = images.shape
    places = [torch.randint(side - PATCH + 1, (n, PATCHES_PER_IMAGE), generator=random)
              for side in (h, w)]
    return torch.stack(places)


def patches_at(images: Tensor, places: Tensor) -> Tensor:
    """Cut patches: images [N, C, H, W], places [2, N, P] -> [N, P, C, 7, 7]."""
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # [N, C, H-6, W-6, 7, 7], no copy
    rows, columns = places.to(images.device)
    number = torch.arange(len(images), device=images.device)[:, None]
    return windows[number, :, rows, columns]


def normalized(patches: Tensor) -> Tensor:
    """Mean 0 and deviation 1 for each channel over all patches, in place.

    Args:
        patches: [N, C, 7, 7]. A channel that is the same everywhere becomes 0.

    Returns:
        [N, C * 49].
    """
    variance, mean = torch.var_mean(patches, (0, 2, 3), correction=0, keepdim=True)
    deviation = torch.where(variance > 0, variance.sqrt(), 1.0)
    return patches.sub_(mean).div_(deviation).flatten(1)


def directions(size: int, seed: int, index: int) -> Iterable[Tensor]:
    """Yield sets of random unit vectors, each float32 [size, 128], on the CPU."""
    random = generator("cpu", seed, "directions", index)
    for _ in range(DIRECTION_SETS):
        vectors = torch.randn(size, DIRECTIONS_PER_SET, generator=random, dtype=torch.float64)
        yield (vectors / vectors.norm(dim=0)).to(torch.float32)


def sliced_wasserstein(first: Tensor, second: Tensor, sets: Iterable[Tensor]) -> float:
    """Mean distance of the sorted projections of two clouds of as many points.

    Args:
        first: float32 [N, D].
        second: float32 [N, D].
        sets: Unit vectors in columns, each [D, K]; one set at a time is projected on.
    """
    assert first.shape == second.shape, "clouds of one size only"
    means = [_sorted(vectors, first).sub_(_sorted(vectors, second)).abs_().mean()
             for vectors in sets]
    return float(torch.stack(means).mean())


def _sorted(vectors: Tensor, cloud: Tensor) -> Tensor:
    """Sorted projections of a cloud [N, D] on each vector [D, K]: [K, N]."""
    projections = vectors.to(cloud.device).T @ cloud.T
    if projections.device.type == "cpu":
        projections.numpy().sort(axis=1)  # twelve times faster than torch.sort on the CPU
        return projections
    return projections.sort(dim=1).values
