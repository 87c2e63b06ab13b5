"""The one filter of all metrics: a symmetric kernel along both axes of each channel."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def smooth(images: Tensor, taps: Sequence[float], stride: int = 1) -> Tensor:
    """Weighted sums of neighbourhoods, without padding.

    Args:
        images: float32 [N, C, H, W].
        taps: Symmetric kernel of one axis, [K].
        stride: Keep every so many rows and columns of the result.

    Returns:
        float32 [N, C, ceil((H - K + 1) / stride), ceil((W - K + 1) / stride)].
    """
    channels = images.shape[1]
    kernel = torch.tensor(taps, dtype=torch.float64)
    kernel = torch.outer(kernel, kernel).to(images.device, images.dtype)
    weight = kernel.expand(channels, 1, -1, -1)
    return F.conv2d(images, weight, stride=stride, groups=channels)
