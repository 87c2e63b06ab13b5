"""Sliced Wasserstein distance between the patches of two sets of images (paper, section 5).

For each level of the Laplacian pyramid, patches of both sets are compared as two clouds of
points. In one dimension the Wasserstein distance of two clouds of n points is the mean distance
of their sorted values (Rabin et al. 2011); here it is averaged over random projections:

    SWD(A, B) = mean over unit vectors d, and over i, of |sort(A d)_i - sort(B d)_i|
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.detector import MetricContext
from metrics.samples import ImageSample, ImageShape, map_parallel, split_batches
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


def measure(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return SWD x1e3 by level, 'SWDx1e3_64' and so on down to 16, and the mean 'SWDx1e3_avg'.

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
            extract_descriptors(sample, some, role, context)
            for sample, role in ((images, "images"), (reals, "reals"))
        )
        for index in some:
            vectors = random_directions(first[0].shape[1], context.seed, index)
            distance = sliced_wasserstein(first.pop(0), second.pop(0), vectors)
            distances[f"SWDx1e3_{side >> index}"] = SCALE * distance
    return {**distances, "SWDx1e3_avg": sum(distances.values()) / len(distances)}


def require_measurable(size: ImageShape, num_images: int) -> None:
    """Raise UserError unless the images can be halved down to the smallest level."""
    factor = 1 << max(num_levels(size) - 1, 0)
    if min(size.height, size.width) < SMALLEST_LEVEL or size.height % factor or size.width % factor:
        halved = f", and here multiples of {factor} so that they can be halved" * (factor > 1)
        raise UserError(
            f"swd cannot measure images of {size}: both sides must be at least "
            f"{SMALLEST_LEVEL} px{halved}. Use images of 64x64 or 128x128, for "
            "example."
        )


def num_levels(size: ImageShape) -> int:
    """Return the number of levels whose shorter side is at least 16 px."""
    return (min(size.height, size.width) // SMALLEST_LEVEL).bit_length()


def extract_descriptors(
    sample: ImageSample, levels: range, role: str, context: MetricContext
) -> list[Tensor]:
    """Extract normalised random patches of some levels: each float32 [count * 128, C * 49].

    Args:
        role: Part of the random seed: 'images' or 'reals'.
    """
    channels = sample.size.channels
    corners = [
        _random_corners_of_sample(
            sample, index, torch_generator("cpu", context.seed, "patches", role, index)
        )
        for index in levels
    ]

    def add_corners(batches: Iterator[Tensor]) -> Iterator[tuple[Tensor, list[Tensor]]]:
        done = 0
        for batch in batches:
            yield batch, [places[:, done : done + len(batch)] for places in corners]
            done += len(batch)

    def extract(task: tuple[Tensor, list[Tensor]]) -> list[Tensor]:
        batch, where = task
        details = laplacian_pyramid(batch.float(), levels, num_levels(sample.size))
        return [extract_patches(*pair) for pair in zip(details, where, strict=True)]

    shape = (sample.count, PATCHES_PER_IMAGE, channels, PATCH, PATCH)
    patches = [torch.empty(shape, device=context.device) for _ in levels]
    done = 0
    batches = sample.batches(context.device, f"swd, {len(levels)} levels")
    for found in map_parallel(extract, add_corners(batches), context.device):
        for stored, new in zip(patches, found, strict=True):
            stored[done : done + len(new)] = new
        done += len(found[0])
    return [normalize_channels_(level.flatten(0, 1)) for level in patches]


def _random_corners_of_sample(sample: ImageSample, level: int, random: torch.Generator) -> Tensor:
    """Return corners for all images of a sample: int64 [2, sample.count, 128], on the CPU.

    They are drawn for the batches of a CPU, whatever the device, so that a seed means the same
    patches on every machine.
    """
    height, width = sample.size.height >> level, sample.size.width >> level
    batches = split_batches(sample.rows, sample.size, torch.device("cpu"))
    return torch.cat([random_corners(len(rows), height, width, random) for rows in batches], 1)


def random_corners(count: int, height: int, width: int, random: torch.Generator) -> Tensor:
    """Return uniform random corners of patches: int64 [2 (row, column), count, 128], on the CPU."""
    places = [
        torch.randint(side - PATCH + 1, (count, PATCHES_PER_IMAGE), generator=random)
        for side in (height, width)
    ]
    return torch.stack(places)


def extract_patches(images: Tensor, places: Tensor) -> Tensor:
    """Cut patches: images [N, C, H, W], places [2, N, P] -> [N, P, C, 7, 7]."""
    windows = images.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # [N, C, H-6, W-6, 7, 7], no copy
    rows, columns = places.to(images.device)
    number = torch.arange(len(images), device=images.device)[:, None]
    return windows[number, :, rows, columns]


def normalize_channels_(patches: Tensor) -> Tensor:
    """Normalise each channel over all patches to mean 0 and deviation 1, in place.

    Args:
        patches: [N, C, 7, 7]. A channel that is the same everywhere becomes 0.

    Returns:
        [N, C * 49].
    """
    flat = patches.flatten(1)
    flat.sub_(_average_by_channel(flat.mean(0), patches.shape[1]))
    squares = [part.square().sum(0) for part in flat.split(ROWS_AT_ONCE)]
    deviation = _average_by_channel(
        torch.stack(squares).sum(0) / len(flat), patches.shape[1]
    ).sqrt()
    return flat.div_(torch.where(deviation > 0, deviation, 1.0))


def _average_by_channel(values: Tensor, channels: int) -> Tensor:
    """Replace the 49 values of each channel by their mean: [C * 49] -> [C * 49]."""
    return torch.repeat_interleave(values.reshape(channels, -1).mean(1), PATCH**2)


def random_directions(size: int, seed: int, index: int) -> Tensor:
    """Return random unit vectors for one level: float32 [size, 512] on the CPU."""
    random = torch_generator("cpu", seed, "directions", index)
    vectors = torch.randn(size, NUM_DIRECTIONS, generator=random, dtype=torch.float64)
    return torch.nn.functional.normalize(vectors, dim=0).float()


def sliced_wasserstein(first: Tensor, second: Tensor, vectors: Tensor) -> float:
    """Return the mean distance of the sorted projections of two point clouds of equal size.

    Args:
        first: [N, D].
        second: [N, D].
        vectors: Unit vectors in columns, [D, K]; processed in chunks.
    """
    assert first.shape == second.shape, "clouds of equal size only"
    workers = torch.get_num_threads() if first.device.type == "cpu" else 1
    at_once = min(max(PROJECTION_BYTES // (8 * len(first) * workers), 1), MOST_AT_ONCE)

    def distances(vectors: Tensor) -> Tensor:
        buffers = first.new_empty(2, at_once, len(first))
        found = []
        for some in vectors.split(at_once, dim=1):
            a, b = (
                _sort_projections(cloud, some, buffer[: some.shape[1]])
                for cloud, buffer in zip((first, second), buffers, strict=True)
            )
            found.append(a.sub_(b).abs_().mean(dim=1))
        return torch.cat(found)

    parts = vectors.to(first).tensor_split(workers, dim=1)
    return float(torch.cat(list(map_parallel(distances, parts, first.device))).mean())


def _sort_projections(cloud: Tensor, vectors: Tensor, out: Tensor) -> Tensor:
    """Sort the projections of a cloud [N, D] on each vector [D, K]: [K, N]; overwrites `out`."""
    torch.mm(vectors.T, cloud.T, out=out)
    if out.device.type != "cpu":
        return out.sort(dim=1).values
    out.numpy().sort(axis=1)  # ten times faster than torch's sort on the CPU
    return out


PYRAMID_TAPS = tuple(weight / 16 for weight in (1, 4, 6, 4, 1))


def smooth_separable(images: Tensor, taps: Sequence[float], stride: int = 1) -> Tensor:
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
    return smooth_separable(F.pad(images, (reach,) * 4, mode="reflect"), PYRAMID_TAPS, stride=2)


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
