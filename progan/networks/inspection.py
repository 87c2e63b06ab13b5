"""Networks on the meta device: names and levels of their weights, and multiply-adds."""

import re
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from progan import networks
from progan.config import Network
from progan.networks.interface import Discriminator, Generator
from progan.networks.layers import resolution_name
from progan.sizes import MIN_LEVEL


def tensor_levels(network: Generator | Discriminator) -> dict[str, int]:
    """Return the level of each tensor, by its name in the state dictionary."""
    return {name: level for name, (level, _) in _locate_tensors(network).items()}


def names_by_level(network: Generator | Discriminator) -> dict[str, str]:
    """Return a name for each tensor that is the same in networks of other resolutions.

    Lists of layers count from the first one, which in a discriminator is that of the highest
    resolution: 'downs.0.weight' of 64x64 corresponds to 'downs.1.weight' of 128x128. Both are
    'downs.64x64.weight' here.
    """
    return {name: by_level for name, (_, by_level) in _locate_tensors(network).items()}


def _locate_tensors(network: Generator | Discriminator) -> dict[str, tuple[int, str]]:
    """Return (level, name by level) of each tensor, by its name in the state dictionary."""
    names = {layer: name for name, layer in network.named_modules()}
    located = {}
    for level in range(MIN_LEVEL, network.config.max_level + 1):
        for layer in network.layers_of(level):
            place = re.sub(r"\.\d+(x\d+)?$", "", names[layer])
            for tensor in layer.state_dict():
                located[f"{names[layer]}.{tensor}"] = (
                    level,
                    f"{place}.{resolution_name(level)}.{tensor}",
                )
    return located


def meta_networks(config: Network) -> dict[str, Generator | Discriminator]:
    """Build generator, discriminator and g_ema ('average') on the meta device."""
    with torch.device("meta"):
        return {
            "generator": networks.build_generator(config),
            "average": networks.build_generator(config),
            "discriminator": networks.build_discriminator(config),
        }


IMAGES = 32  # enough for resampling inside of convolutions at every level


@cache
def multiply_adds(config: Network, level: int) -> int:
    """Count the multiply-adds per image of a pass through both networks at `level`.

    Convolutions and dense layers only.
    """
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator, discriminator = (
            networks.build_generator(config),
            networks.build_discriminator(config),
        )
        latents = torch.empty(IMAGES, config.latent_size)
        labels = torch.empty(IMAGES, config.label_size)
        discriminator(generator(latents, labels, level), level)
    return int(counter.get_total_flops()) // (2 * IMAGES)
