"""Resampling an image under an affine map with little blur and little aliasing.

As in StyleGAN2-ADA (appendix B), the image is doubled, sampled at twice its resolution, and
halved, where the filters of doubling and halving are those of a wavelet and undo each other
exactly. Theirs is sym6, whose filters are lopsided and move what they sample by 0.2 pixels. Ours
is the wavelet of Cohen, Daubechies and Feauveau with 9 and 7 taps (1992; JPEG 2000 has it too):
symmetric, so that nothing moves and mirrored borders stay mirrored.

The sums are written out, tap by tap, because constant tensors cannot be made while a CUDA graph is
captured, and convolutions of one channel are slow.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# From the middle outwards; the sums over all taps are 1.
DOUBLING = (0.60294901823635789, 0.26686411844287490, -0.07822326652899013,
            -0.01686411844287496, 0.02674875741080975)
HALVING = (0.55754352622850031, 0.29563588155712515, -0.02877176311425014, -0.04563588155712508)
MARGIN = len(HALVING) - 1  # places that halving needs beyond the border


def resample(images: Tensor, inverse: Tensor) -> Tensor:
    """Show at each place of the result what the image has at `inverse` of it: [N, C, H, W].

    Args:
        images: [N, C, H, W], H and W at least 3; beyond the borders, their mirror image.
        inverse: [N, 2, 3], (x, y, 1) -> (x, y), in pixels from the centre, y downwards.
    """
    h, w = images.shape[2:]
    double = _doubled(_doubled(images).mT).mT  # [N, C, 2H-1, 2W-1]: between two pixels one more
    sampled = F.grid_sample(double, _grid(inverse, h, w).to(images.dtype), mode="bilinear",
                            padding_mode="reflection", align_corners=True)
    return _halved(_halved(sampled).mT).mT


def _grid(inverse: Tensor, h: int, w: int) -> Tensor:
    """Where to sample, -1…1 from the first pixel to the last: [N, 2H+5, 2W+5, 2]."""
    x = torch.arange(-MARGIN, 2 * w - 1 + MARGIN, device=inverse.device) / 2 - (w - 1) / 2
    y = torch.arange(-MARGIN, 2 * h - 1 + MARGIN, device=inverse.device) / 2 - (h - 1) / 2
    along_x, along_y, start = inverse[:, None, None].unbind(-1)  # each [N, 1, 1, 2]: of x and y
    sources = along_x * x[:, None] + along_y * y[:, None, None] + start
    return torch.stack([sources[..., 0] * (2 / (w - 1)), sources[..., 1] * (2 / (h - 1))], dim=-1)


def _doubled(x: Tensor) -> Tensor:
    """[…, W] -> […, 2W-1]."""
    padded = F.pad(x, (2, 2, 0, 0), mode="reflect")

    def at(offset: int) -> Tensor:
        return padded.narrow(-1, 2 + offset, x.shape[-1])

    k = DOUBLING
    even = at(0) * k[0] + (at(-1) + at(1)) * k[2] + (at(-2) + at(2)) * k[4]
    odd = (at(0) + at(1)) * k[1] + (at(-1) + at(2)) * k[3]
    return torch.stack([even, odd], dim=-1).flatten(-2)[..., :-1] * 2


def _halved(x: Tensor) -> Tensor:
    """[…, 2W-1 + 2 MARGIN] -> […, W]."""
    length = x.shape[-1] - 2 * MARGIN

    def at(offset: int) -> Tensor:
        return x.narrow(-1, MARGIN + offset, length)[..., ::2]

    k = HALVING
    return (at(0) * k[0] + (at(-1) + at(1)) * k[1] + (at(-2) + at(2)) * k[2]
            + (at(-3) + at(3)) * k[3])
