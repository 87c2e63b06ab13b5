"""The one filter of all metrics: a symmetric kernel along both axes of each channel."""

from collections.abc import Sequence

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
    # Sums of shifted views: several times faster on the CPU than a convolution for each channel.
    return _along(_along(images, taps, stride, 2), taps, stride, 3)


def _along(images: Tensor, taps: Sequence[float], stride: int, axis: int) -> Tensor:
    half, last = len(taps) // 2, len(taps) - 1
    length = (images.shape[axis] - len(taps)) // stride * stride + 1
    every = (slice(None),) * axis + (slice(None, None, stride),)
    shifted = [images.narrow(axis, offset, length)[every] for offset in range(len(taps))]
    total = shifted[half] * (taps[half] if len(taps) % 2 else 0.0)  # even kernels have no middle
    for offset in range(half):
        total.add_(shifted[offset] + shifted[last - offset], alpha=taps[offset])
    return total
