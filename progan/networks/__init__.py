"""Networks: maths only. No loss, optimizer, schedule, device or dtype policy inside."""

from progan.config import Network
from progan.networks.autoencoder import AutoencoderDiscriminator, AutoencoderGenerator
from progan.networks.dcgan import DcganDiscriminator, DcganGenerator
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from progan.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from progan.networks.resnet import ResnetDiscriminator, ResnetGenerator
from progan.networks.stacked_mnist import StackedMnistDiscriminator, StackedMnistGenerator

# kind: (generator, discriminator)
NETWORKS: dict[str, tuple[type[Generator], type[Discriminator]]] = {
    "progressive": (ProgressiveGenerator, ProgressiveDiscriminator),
    "dcgan": (DcganGenerator, DcganDiscriminator),
    "resnet": (ResnetGenerator, ResnetDiscriminator),
    "autoencoder": (AutoencoderGenerator, AutoencoderDiscriminator),
    "stacked-mnist": (StackedMnistGenerator, StackedMnistDiscriminator),
}


def build_generator(config: Network) -> Generator:
    """Build the generator of the config's kind, with uninitialised weights."""
    return NETWORKS[config.kind][0](config)


def build_discriminator(config: Network) -> Discriminator:
    """Build the discriminator of the config's kind, with uninitialised weights."""
    return NETWORKS[config.kind][1](config)


__all__ = [
    "NETWORKS", "Discriminator", "Generator", "DiscriminatorOutput", "build_discriminator",
    "build_generator",
]  # fmt: skip
