"""Networks without data: names and levels of their weights, and what a pass costs."""

import re
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from progan import networks
from progan.config import Network
from progan.networks.interface import Discriminator, Generator
from progan.networks.layers import resolution_name
from progan.sizes import MIN_LEVEL


def levels(network: Generator | Discriminator) -> dict[str, int]:
    """The level of each tensor of the state dictionary, by its name there."""
    return {name: level for name, (level, _) in _placed(network).items()}


def names_by_level(network: Generator | Discriminator) -> dict[str, str]:
    """What to call each tensor of the state dictionary beside networks of other resolutions.

    Lists of layers count from the first one, which in a discriminator is that of the highest
    resolution: 'downs.0.weight' of 64x64 is at the place of 'downs.1.weight' of 128x128. Both
    are 'downs.64x64.weight' here.
    """
    return {name: called for name, (_, called) in _placed(network).items()}


def _placed(network: Generator | Discriminator) -> dict[str, tuple[int, str]]:
    """(level, name with it) of each tensor, by its name in the state dictionary."""
    names = {layer: name for name, layer in network.named_modules()}
    placed = {}
    for level in range(MIN_LEVEL, network.config.max_level + 1):
        for layer in network.layers_of(level):
            place = re.sub(r"\.\d+(x\d+)?$", "", names[layer])
            for tensor in layer.state_dict():
                placed[f"{names[layer]}.{tensor}"] = (
                    level,
                    f"{place}.{resolution_name(level)}.{tensor}",
                )
    return placed


def meta_networks(config: Network) -> dict[str, Generator | Discriminator]:
    """The three networks of a training: generator, discriminator and averaged generator."""
    with torch.device("meta"):
        return {
            "generator": networks.generator(config),
            "average": networks.generator(config),
            "discriminator": networks.discriminator(config),
        }


IMAGES = 32  # enough for resampling inside of convolutions at every level


@cache
def multiply_adds(config: Network, level: int) -> int:
    """Multiplications per image of one pass through generator and discriminator at `level`.

    Convolutions and dense layers only.
    """
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator, discriminator = networks.generator(config), networks.discriminator(config)
        latents = torch.empty(IMAGES, config.latent_size)
        labels = torch.empty(IMAGES, config.label_size)
        discriminator(generator(latents, labels, level), level)
    return int(counter.get_total_flops()) // (2 * IMAGES)
