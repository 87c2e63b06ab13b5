"""The crossfade between two consecutive levels (figure 2 of the paper)."""

from torch import Tensor

from progan.ops.resample import down2x, up2x


def fade(old: Tensor, new: Tensor, alpha: Tensor) -> Tensor:
    """Blend from `old` (alpha 0) to `new` (alpha 1); alpha is a 0-d tensor."""
    return old + (new - old) * alpha


def fade_images(x: Tensor, alpha: Tensor) -> Tensor:
    """Blend images [N, C, H, W] with their own 2x-down-2x-up version, as reals are while fading."""
    return fade(up2x(down2x(x)), x, alpha)
