"""Sliced Wasserstein distance between the patches of two sets of images (paper, section 5).

For each level of the Laplacian pyramid, patches of both sets are compared as two clouds of
points. In one dimension the Wasserstein distance of two clouds of n points is the mean distance
of their sorted values (Rabin et al. 2011); here it is averaged over random projections:

    SWD(A, B) = mean over unit vectors d, and over i, of |sort(A d)_i - sort(B d)_i|
"""

import torch
from torch import Tensor

from metrics.detector import Setup
from metrics.filters import laplacian_pyramid
from metrics.samples import ImageSample, Size, side_by_side
from progan.errors import UserError
from progan.runtime.seeding import torch_generator

PATCH = 7  # px
PATCHES_PER_IMAGE = 128
NUM_DIRECTIONS = 512  # four times 128 in the official code
PATCH_BYTES, PROJECTION_BYTES = 2**30, 2**29
MOST_AT_ONCE = 64  # directions
ROWS_AT_ONCE = 2**15
SMALLEST_LEVEL = 16  # px
SCALE = 1e3  # distances are small: the paper prints them times a thousand


def measure(images: ImageSample, reals: ImageSample, setup: Setup) -> dict[str, float]:
    """SWD x1e3 by level, 'SWDx1e3_64' and so on down to 16, and the mean 'SWDx1e3_avg'.

    Levels are named by their shorter side: of 192x128 px '128', '64', '32' and '16'.

    Patches of one level take 75 kB for each RGB image of each set. As many levels as fit into
    1 GiB are computed at once, and at least one.
    """
    side = min(images.size.height, images.size.width)
    levels = range(num_levels(images.size))
    bytes_per_level = 2 * images.count * PATCHES_PER_IMAGE * images.size.channels * PATCH**2 * 4
    at_once = max(PATCH_BYTES // bytes_per_level, 1)
    distances = {}
    for start in levels[::at_once]:
        some = levels[start : start + at_once]
        first, second = (
            descriptors(draw, some, role, setup)
            for draw, role in ((images, "images"), (reals, "reals"))
        )
        for index in some:
            vectors = directions(first[0].shape[1], setup.seed, index)
            distance = sliced_wasserstein(first.pop(0), second.pop(0), vectors)
            distances[f"SWDx1e3_{side >> index}"] = SCALE * distance
    return {**distances, "SWDx1e3_avg": sum(distances.values()) / len(distances)}


def require(size: Size, num_images: int) -> None:
    """Raise UserError unless the images can be halved down to the smallest level."""
    factor = 1 << max(num_levels(size) - 1, 0)
    if min(size.height, size.width) < SMALLEST_LEVEL or size.height % factor or size.width % factor:
        halved = f", and here multiples of {factor} so that they can be halved" * (factor > 1)
        raise UserError(
            f"swd cannot measure images of {size}: both sides must be at least "
            f"{SMALLEST_LEVEL} px{halved}. Use images of 64x64 or 128x128, for "
            "example."
        )


def num_levels(size: Size) -> int:
    """Levels of the pyramid down to the one whose smaller side is at least 16 px."""
    return (min(size.height, size.width) // SMALLEST_LEVEL).bit_length()


def descriptors(draw: ImageSample, levels: range, role: str, setup: Setup) -> list[Tensor]:
    """Normalised random patches of some levels of all images: each float32 [count * 128, C * 49].

    Args:
        role: Patches of other roles are drawn anew.
    """
    # Drawn on the CPU: a seed means the same patches on every machine.
    randoms = [torch_generator("cpu", setup.seed, "patches", role, index) for index in levels]
    height, width, channels = draw.size

    def places(batch: Tensor) -> tuple[Tensor, list[Tensor]]:
        return batch, [
            corners(len(batch), height >> index, width >> index, random)
            for index, random in zip(levels, randoms, strict=True)
        ]

    def cut(task: tuple[Tensor, list[Tensor]]) -> list[Tensor]:
        batch, where = task
        details = laplacian_pyramid(batch.float(), levels, num_levels(draw.size))
        return [patches_at(*pair) for pair in zip(details, where, strict=True)]

    shape = (draw.count, PATCHES_PER_IMAGE, channels, PATCH, PATCH)
    patches = [torch.empty(shape, device=setup.device) for _ in levels]
    done = 0
    batches = draw.batches(setup.device, f"swd, {len(levels)} levels")
    for found in side_by_side(cut, map(places, batches), setup.device):
        for kept, new in zip(patches, found, strict=True):
            kept[done : done + len(new)] = new
        done += len(found[0])
    return [normalized(kept.flatten(0, 1)) for kept in patches]


def corners(count: int, height: int, width: int, random: torch.Generator) -> Tensor:
    """Where patches begin, every place alike: int64 [2 (row, column), count, 128], on the CPU."""
    places = [
        torch.randint(side - PATCH + 1, (count, PATCHES_PER_IMAGE), generator=random)
        for side in (height, width)
    ]
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
    flat = patches.flatten(1)
    flat.sub_(_by_channel(flat.mean(0), patches.shape[1]))
    squares = [part.square().sum(0) for part in flat.split(ROWS_AT_ONCE)]
    deviation = _by_channel(torch.stack(squares).sum(0) / len(flat), patches.shape[1]).sqrt()
    return flat.div_(torch.where(deviation > 0, deviation, 1.0))


def _by_channel(values: Tensor, channels: int) -> Tensor:
    """The mean of each channel's 49 values in the place of each: [C * 49] -> [C * 49]."""
    return torch.repeat_interleave(values.reshape(channels, -1).mean(1), PATCH**2)


def directions(size: int, seed: int, index: int) -> Tensor:
    """Random unit vectors for one level: float32 [size, 512] on the CPU."""
    random = torch_generator("cpu", seed, "directions", index)
    vectors = torch.randn(size, NUM_DIRECTIONS, generator=random, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=0).float()


def sliced_wasserstein(first: Tensor, second: Tensor, vectors: Tensor) -> float:
    """Mean distance of the sorted projections of two clouds of as many points.

    Args:
        first: [N, D].
        second: [N, D].
        vectors: Unit vectors in columns, [D, K]; some of them at a time are projected on.
    """
    assert first.shape == second.shape, "clouds of one size only"
    workers = torch.get_num_threads() if first.device.type == "cpu" else 1
    at_once = min(max(PROJECTION_BYTES // (8 * len(first) * workers), 1), MOST_AT_ONCE)

    def distances(vectors: Tensor) -> Tensor:
        buffers = first.new_empty(2, at_once, len(first))
        found = []
        for some in vectors.split(at_once, dim=1):
            ours, theirs = (
                _sorted(cloud, some, buffer[: some.shape[1]])
                for cloud, buffer in zip((first, second), buffers, strict=True)
            )
            found.append(ours.sub_(theirs).abs_().mean(dim=1))
        return torch.cat(found)

    parts = vectors.to(first).tensor_split(workers, dim=1)
    return float(torch.cat(list(side_by_side(distances, parts, first.device))).mean())


def _sorted(cloud: Tensor, vectors: Tensor, out: Tensor) -> Tensor:
    """Sorted projections of a cloud [N, D] on each vector [D, K]: [K, N], perhaps in `out`."""
    torch.mm(vectors.T, cloud.T, out=out)
    if out.device.type != "cpu":
        return out.sort(dim=1).values
    out.numpy().sort(axis=1)  # ten times faster than torch's sort on the CPU
    return out
