"""A generator with nothing left to decide, to be recorded as a graph."""

import torch
from torch import Tensor, nn

from progan.interop.lower import at_level
from progan.networks import Generator
from progan.networks.layers import Equalized, UpConv
from progan.ops.resample import conv_up2x, up2x_kernel
from progan.sampling.network_file import Snapshot

INPUTS = ("latents", "labels")  # the latter of networks with classes
OUTPUT = "images"


class Settled(nn.Module):
    """Latents [N, latent_size], and labels [N, classes] if there are any -> images [N, C, H, W].

    Layers choose by the size of a batch how they compute, and a graph is recorded once for all
    sizes. Here the constants are in the weights, and the doubling is in the kernels, beforehand.
    """

    alpha: Tensor | None

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        own = at_level(snapshot, snapshot.level, snapshot.alpha)
        self.generator = _settle(own.generator)
        self.level = own.level
        self.register_buffer("alpha", None if own.alpha == 1 else torch.tensor(own.alpha))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.generator(latents, latents[:, :0] if labels is None else labels,
                                        self.level, self.alpha)
        return images


class Doubling(nn.Module):
    """What a layer for doubling does, with its kernel made: [N, C, H, W] -> [N, F, 2H, 2W]."""

    def __init__(self, layer: UpConv) -> None:
        super().__init__()
        kernel = up2x_kernel(layer.weight * layer.scale)
        self.kernel = nn.Parameter(kernel.contiguous(), requires_grad=False)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return conv_up2x(x, self.kernel, self.bias)


def _settle(generator: Generator) -> Generator:
    for name, layer in list(generator.named_modules()):
        if isinstance(layer, UpConv):
            generator.set_submodule(name, Doubling(layer))
        elif isinstance(layer, Equalized):
            layer.weight.mul_(layer.scale)
            layer.scale = 1.0
    return generator
