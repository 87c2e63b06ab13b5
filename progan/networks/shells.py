"""Networks with names and shapes but no data, to hold weights against."""

import torch

from progan import networks
from progan.config import Network
from progan.networks.contract import Discriminator, Generator


def shells(config: Network) -> dict[str, Generator | Discriminator]:
    """The three networks of a training: generator, discriminator and averaged generator."""
    with torch.device("meta"):
        return {"generator": networks.generator(config), "average": networks.generator(config),
                "discriminator": networks.discriminator(config)}
