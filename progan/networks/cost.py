"""What the networks cost, counted by running them where tensors have shapes but no data."""

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from progan import networks
from progan.config import Network


@cache
def multiply_adds(config: Network, level: int) -> int:
    """Multiplications per image of one pass through generator and discriminator at `level`.

    Convolutions and dense layers only.
    """
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        generator, discriminator = networks.generator(config), networks.discriminator(config)
        # Two images: batch normalisation of a dense layer refuses a single one.
        latents, labels = torch.empty(2, config.latent_size), torch.empty(2, config.label_size)
        discriminator(generator(latents, labels, level), level)
    return int(counter.get_total_flops()) // 4
