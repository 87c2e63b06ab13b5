"""Networks: maths only. No loss, optimizer, schedule, device or dtype policy inside."""

from progan.networks.discriminator import Discriminator
from progan.networks.generator import Generator

__all__ = ["Discriminator", "Generator"]
