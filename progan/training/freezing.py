"""FreezeD (Mo et al. 2020): the discriminator keeps what it sees with, and learns to judge anew."""

from progan.networks import Discriminator


def freeze(discriminator: Discriminator, count: int) -> None:
    """Let the layers of the `count` highest resolutions, on the side of the images, not learn.

    Their gradients are not computed at all.
    """
    last = discriminator.config.max_level
    for level in range(last - count + 1, last + 1):
        for layer in discriminator.looking(level):
            layer.requires_grad_(False)
