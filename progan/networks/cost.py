"""What the networks cost, counted by running them where tensors have shapes but no data."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from progan import networks
from progan.config import Network

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
