"""Tensor operations that layers are made of: fades, resampling, normalisation, precision."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

HALF = (torch.bfloat16, torch.float16)


def upcast_half(x: Tensor) -> Tensor:
    """Convert half precision to float32; return anything else unchanged."""
    return x.float() if x.dtype in HALF else x


def autocast_is_enabled(device: torch.device) -> bool:
    """True if operations are computed in half precision now."""
    return _supports_autocast(device) and torch.is_autocast_enabled(device.type)


def disable_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Compute operations in the precision of their inputs inside the context."""
    return (
        torch.autocast(device.type, enabled=False) if _supports_autocast(device) else nullcontext()
    )


def _supports_autocast(device: torch.device) -> bool:
    """True if a device has half precision at all; the meta device has none."""
    return torch.amp.is_autocast_available(device.type)  # False for meta


class OddBatches(TorchFunctionMode):
    """Append an image of zeros to even batches in convolutions of stride 1 in half precision.

    The gradient of a gradient penalty with respect to a kernel is a convolution whose channels are
    the images of the batch, and whose kernel is as large as their maps. On CPUs with AMX, oneDNN
    3.12 (torch 2.14) returns noise for 2, 4, ... 14 channels, with errors as large as the gradient,
    if channels times width are a multiple of 32 of at least 64; odd numbers and larger ones are
    right.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d or kwargs.get("stride", 1) != 1:
            return func(*args, **kwargs)
        x, *weights = args
        if len(x) % 2 or len(x) >= 16 or not autocast_is_enabled(x.device):
            return func(*args, **kwargs)
        padded = F.pad(x, (0, 0, 0, 0, 0, 0, 0, 1))
        return func(padded, *weights, **kwargs)[: len(x)]


# Pixels of a batch, at the lower resolution: with fewer, computing a 4x4 kernel takes longer than
# the multiplications that it saves (docs/log.md).
MIN_FUSED_PIXELS = 512


def up2x(x: Tensor) -> Tensor:
    """Upsample [N, C, H, W] -> [N, C, 2H, 2W], nearest neighbour."""
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def down2x(x: Tensor) -> Tensor:
    """Downsample [N, C, H, W] -> [N, C, H/2, W/2], mean of each 2x2 box."""
    return F.avg_pool2d(x, 2)


def up2x_conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `conv2d(up2x(x), weight, bias, padding=1)`; weight is [out, in, 3, 3]."""
    if x.shape[0] * x.shape[2] * x.shape[3] < MIN_FUSED_PIXELS:
        return F.conv2d(up2x(x), weight, bias, padding=1)
    return conv_up2x(x, make_up2x_kernel(weight), bias)


def conv_up2x(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Convolve transposed, kernel [in, out, 4, 4]: [N, in, H, W] -> [N, out, 2H, 2W]."""
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def make_up2x_kernel(weight: Tensor) -> Tensor:
    """Convert [out, in, 3, 3] to the [in, out, 4, 4] of `conv_up2x`, as in `up2x_conv3x3`."""
    # Transposed in memory too: sums of 4x4 gradients in another layout take twice as long.
    flipped = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
    return _sum_shifted_to_4x4(flipped)


def conv3x3_down2x(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Compute `down2x(conv2d(x, weight, bias, padding=1))`; weight is [out, in, 3, 3]."""
    if x.shape[0] * x.shape[2] * x.shape[3] < 4 * MIN_FUSED_PIXELS:
        return down2x(F.conv2d(x, weight, bias, padding=1))
    return F.conv2d(x, _sum_shifted_to_4x4(weight) * 0.25, bias, stride=2, padding=1)


def _sum_shifted_to_4x4(weight: Tensor) -> Tensor:
    """Sum four copies shifted by 0 or 1 in each direction: [.., 3, 3] -> [.., 4, 4]."""
    return F.avg_pool2d(weight, 2, stride=1, padding=1, divisor_override=1)


def make_alpha(alpha: float, device: torch.device) -> Tensor | None:
    """Return the weight of the newest level as networks take it: 0-d; None for 1, no fade."""
    # Filled on the device: torch.tensor would copy from the CPU, which waits for a GPU.
    return None if alpha == 1 else torch.full((), alpha, device=device)


def fade(old: Tensor, new: Tensor, alpha: Tensor) -> Tensor:
    """Blend from `old` (alpha 0) to `new` (alpha 1); alpha is a 0-d tensor."""
    return old + (new - old) * alpha


def blend_with_half_resolution(x: Tensor, alpha: Tensor) -> Tensor:
    """Blend images [N, C, H, W] with their own 2x-down-2x-up version, as reals in a fade."""
    return fade(up2x(down2x(x)), x, alpha)


EPSILON = 1e-8


def pixel_norm(x: Tensor) -> Tensor:
    """Scale each feature vector along axis 1 to unit mean square; any shape [N, C, ...]."""
    if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
        normalized: Tensor = _PixelNorm.apply(x)[0]
        return normalized
    return x * _inverse_rms(x)


def _inverse_rms(x: Tensor) -> Tensor:
    dtype = torch.float32 if x.dtype in HALF else None
    # In one pass and without a copy in float32, unlike `square` and `mean`.
    length: Tensor = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=dtype)
    return (length.square() / x.shape[1] + EPSILON).rsqrt().to(x.dtype)


class _PixelNorm(torch.autograd.Function):
    """x -> (x * r, r), r = 1 / sqrt(mean(x^2) + epsilon) along axis 1.

    The gradient in five operations instead of the ten that autograd derives, some of them in a
    slower memory layout: a third of the time (docs/log.md).
    """

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        scale = _inverse_rms(x)
        return x * scale, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*output)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, scale_gradient: Tensor | None) -> Tensor | None:
        """Only second derivatives have a gradient of r: this function uses it."""
        y, scale = ctx.saved_tensors
        result = None
        if gradient is not None:
            mean = (gradient * y).mean(dim=1, keepdim=True)
            result = torch.addcmul(gradient, y, mean, value=-1) * scale
        if scale_gradient is not None:
            through_scale = y * (scale_gradient * scale.square() / -y.shape[1])
            result = through_scale if result is None else result + through_scale
        return result


def append_minibatch_stddev(x: Tensor, group_size: int) -> Tensor:
    """Append a feature map with the standard deviation in a group: [N, C, H, W] -> C + 1 maps.

    With M groups, the members of a group are the images i, i+M, i+2M …, as in the official code.
    A batch that `group_size` does not divide is cut into the largest groups that do divide it
    (official code: only if the batch is smaller than the group, else an error).
    """
    n, _, h, w = x.shape
    size = find_largest_divisor(n, group_size)
    groups = upcast_half(x).reshape(size, n // size, *x.shape[1:])  # [G, M, C, H, W]
    # Five times as fast on a CPU as `var`, which does not vectorise over so few values.
    variance = (groups - groups.mean(dim=0)).square().mean(dim=0)
    deviation = (variance + EPSILON).sqrt()  # [M, C, H, W]
    spread = deviation.mean(dim=(1, 2, 3)).repeat(size).to(x.dtype)  # [N]
    return torch.cat([x, spread.reshape(n, 1, 1, 1).expand(n, 1, h, w)], dim=1)


def find_largest_divisor(n: int, limit: int) -> int:
    """Return the largest divisor of `n` that is not larger than `limit`."""
    return max(size for size in range(1, min(n, limit) + 1) if n % size == 0)


def apply_multiplicative_noise(x: Tensor, strength: Tensor | None) -> Tensor:
    """Multiply each feature map of each image by 1 + strength * sqrt(C) * N(0, 1): [N, C, H, W].

    The square root of the number of maps is that of the official code: sums over many maps are
    disturbed as much as those over a few.

    Args:
        strength: 0-d; None: leave x as it is.
    """
    if strength is None:
        return x
    noise = torch.randn(*x.shape[:2], 1, 1, dtype=x.dtype, device=x.device)
    return x * (1 + noise * (strength * math.sqrt(x.shape[1])))
