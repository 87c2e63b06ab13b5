"""FreezeD (Mo et al. 2020): the discriminator keeps what it sees with, and learns to judge anew."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from progan.networks import Discriminator


def freeze(discriminator: Discriminator, count: int) -> None:
    """Let the layers of the `count` highest resolutions, on the side of the images, not learn.

    Their gradients are not computed at all.
    """
    last = discriminator.config.max_level
    for level in range(last - count + 1, last + 1):
        for layer in discriminator.looking(level):
            layer.requires_grad_(False)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Meanwhile no gradients of the weights of a network are computed, not even on the way."""
    awake = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in awake:
            parameter.requires_grad_(True)
