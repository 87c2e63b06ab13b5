"""Multi-scale structural similarity of pairs of images (Wang et al. 2003; paper, section 5).

Of two images x, y, with means, variances and covariance in a Gaussian window around each pixel:

    l = (2 mx my + C1) / (mx² + my² + C1)        luminance
    cs = (2 sxy + C2) / (sxx + syy + C2)         contrast and structure
    MS-SSIM = mean(cs_1)^w1 … mean(cs_4)^w4 · mean(l_5 cs_5)^w5

where scale k + 1 has half of the resolution of scale k. Means run over pixels and channels.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.detector import MetricContext
from metrics.samples import ImageSample, ImageShape, map_parallel
from metrics.swd import smooth_separable
from progan.errors import UserError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first
WINDOW = 11  # px
SIGMA = 1.5  # px, for the whole window; it shrinks with the window
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2
SMALLEST_SIDE = 2 ** (len(WEIGHTS) - 1)  # px: one remains at the last scale


def measure(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return 'MS-SSIM', the mean over the pairs (0, 1), (2, 3) … of the images, ignoring the reals.

    1 if all images are equal; about 0 if pairs have nothing in common.
    """

    def similarities(batch: Tensor) -> Tensor:
        return ms_ssim(batch[0::2].float(), batch[1::2].float())

    batches = images.batches(context.device, "ms-ssim")
    pairs = torch.cat(list(map_parallel(similarities, batches, context.device)))
    return {"MS-SSIM": float(pairs.mean())}


def require_measurable(size: ImageShape, num_images: int) -> None:
    """Raise UserError unless the images make pairs and are large enough to be halved four times."""
    if num_images % 2:
        raise UserError(
            f"ms-ssim compares pairs of images, and {num_images} is an odd number. "
            f"Ask for {num_images - 1}."
        )
    if min(size.height, size.width) < SMALLEST_SIDE:
        raise UserError(
            f"ms-ssim cannot measure images of {size}: both sides must be at least "
            f"{SMALLEST_SIDE} px. Use images of 64x64 or 128x128, for example."
        )


def ms_ssim(first: Tensor, second: Tensor) -> Tensor:
    """Return the similarity of each pair: two float32 [N, C, H, W], 0…255 -> [N], at most 1."""
    factors = []
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            first, second = average_2x2(first), average_2x2(second)
        last = scale == len(WEIGHTS) - 1
        mean = ssim_map(first, second, with_luminance=last).mean((1, 2, 3))
        # Anticorrelated images have a negative mean, whose power is not real.
        factors.append(mean.clamp(min=0) ** weight)
    return torch.stack(factors).prod(0)


def average_2x2(images: Tensor) -> Tensor:
    """Average 2x2 px, repeating the last ones where a side is odd: [N, C, H, W] -> [N, C, …]."""
    height, width = images.shape[2:]
    if height % 2 or width % 2:
        images = F.pad(images, (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(images, 2)


def ssim_map(first: Tensor, second: Tensor, *, with_luminance: bool) -> Tensor:
    """Return cs, or l · cs, around each pixel: two [N, C, H, W] -> [N, C, H', W']."""
    taps = gaussian_taps(min(WINDOW, *first.shape[2:]))
    mean_x, mean_y = smooth_separable(first, taps), smooth_separable(second, taps)
    product, squares = mean_x * mean_y, mean_x.square().add_(mean_y.square())
    variances = smooth_separable(first.square().add_(second.square()), taps).sub_(squares)
    covariance = smooth_separable(first * second, taps).sub_(product)
    structure = covariance.mul_(2).add_(C2).div_(variances.add_(C2))
    if with_luminance:
        structure.mul_((2 * product + C1) / (squares + C1))
    return structure


def gaussian_taps(size: int) -> list[float]:
    """Return the Gaussian window along one axis, [size], with sum 1."""
    sigma = SIGMA * size / WINDOW
    bell = [math.exp(-(((i - (size - 1) / 2) / sigma) ** 2) / 2) for i in range(size)]
    return [value / sum(bell) for value in bell]
