"""Doubling and halving of images, alone and folded into 3x3 convolutions.

Nearest-neighbour doubling followed by a 3x3 convolution is one 4x4 transposed convolution of
stride 2, and a 3x3 convolution followed by 2x2 averaging is one 4x4 convolution of stride 2:
2.25 times fewer multiplications. The 4x4 kernel is the sum of four shifted copies of the 3x3 one.
To add these up takes as long for one small image as for many large ones, so that it pays from some
number of pixels on.
"""

import torch.nn.functional as F
from torch import Tensor

# Pixels of a batch, at the lower resolution: with fewer, the multiplications that a 4x4 kernel
# saves take less time than the kernel does (docs/log.md).
FEWEST_PIXELS = 512


def up2x(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W], nearest neighbour."""
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


def down2x(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H/2, W/2], mean of each 2x2 box."""
    return F.avg_pool2d(x, 2)


def up2x_conv3x3(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same as `conv2d(up2x(x), weight, bias, padding=1)`; weight is [out, in, 3, 3]."""
    if x.shape[0] * x.shape[2] * x.shape[3] < FEWEST_PIXELS:
        return F.conv2d(up2x(x), weight, bias, padding=1)
    return conv_up2x(x, up2x_kernel(weight), bias)


def conv_up2x(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """[N, in, H, W] -> [N, out, 2H, 2W]; kernel is [in, out, 4, 4]."""
    return F.conv_transpose2d(x, kernel, bias, stride=2, padding=1)


def up2x_kernel(weight: Tensor) -> Tensor:
    """[out, in, 3, 3] -> [in, out, 4, 4]: with it, `conv_up2x` does what `up2x_conv3x3` does."""
    return _spread(weight.flip(2, 3)).transpose(0, 1)


def conv3x3_down2x(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same as `down2x(conv2d(x, weight, bias, padding=1))`; weight is [out, in, 3, 3]."""
    if x.shape[0] * x.shape[2] * x.shape[3] < 4 * FEWEST_PIXELS:
        return down2x(F.conv2d(x, weight, bias, padding=1))
    return F.conv2d(x, _spread(weight) * 0.25, bias, stride=2, padding=1)


def _spread(weight: Tensor) -> Tensor:
    """[.., 3, 3] -> [.., 4, 4], the sum of the four copies shifted by 0 or 1 in each direction."""
    rows = F.pad(weight, (0, 0, 0, 1)) + F.pad(weight, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))
