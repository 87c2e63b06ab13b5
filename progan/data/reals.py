"""What happens to real images on the device, between the dataset and the critic."""

from torch import Tensor

from progan.images import to_signed
from progan.ops.fade import fade_images


def process_reals(images: Tensor, *, mirror: Tensor | None = None,
                  alpha: Tensor | None = None) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W] in [-1, 1], as the critic sees them.

    Args:
        mirror: bool [N], which images to flip left to right.
        alpha: 0-d; while a level is faded in, reals are blended with their own
            2x-down-2x-up version, so that they sharpen as the networks do.
    """
    x = to_signed(images.permute(0, 3, 1, 2))
    if mirror is not None:
        x = x.where(~mirror.reshape(-1, 1, 1, 1), x.flip(3))
    return x if alpha is None else fade_images(x, alpha)
