"""Base classes of generators and discriminators, and the last layer of discriminators."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from progan.config import Network
from progan.networks.layers import Dense
from progan.ops import append_minibatch_stddev, apply_multiplicative_noise, pixel_norm


class DiscriminatorOutput(NamedTuple):
    """Output of a discriminator for N images."""

    scores: Tensor  # [N], higher for real; minus the reconstruction error of an autoencoder
    logits: Tensor  # [N, label_size], class logits
    code: Tensor | None = None  # [N, code_size], only of an autoencoder


class Generator(nn.Module, ABC):
    """Latents to images."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self.config = config

    def concat_inputs(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Concatenate latents and labels, and normalise them if configured: [N, inputs]."""
        x = torch.cat([latents, labels], dim=1)
        return pixel_norm(x) if self.config.normalize_latents else x

    @abstractmethod
    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        """Generate images at the resolution of `level`.

        Args:
            latents: [N, latent_size], from a standard normal distribution.
            labels: [N, label_size], one-hot; label_size may be 0.
            level: log2 of the resolution; the last one for networks that do not grow.
            alpha: 0-d, weight of the newest level while it is faded in; None: fully faded in.

        Returns:
            [N, channels, H, W] of `config.size(level)`, with [-1, 1] meaning black to white.
        """

    @abstractmethod
    def layers_of(self, level: int) -> list[nn.Module]:
        """Return the layers of the resolution of `level`; each layer belongs to one level."""


class Discriminator(nn.Module, ABC):
    """Images to scores."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images at the resolution of `level`.

        Args:
            images: [N, channels, H, W] of `config.size(level)`, in [-1, 1].
            level, alpha: As for the generator.
            noise: 0-d, strength of the noise on the inputs of convolutions; None: no noise.
        """

    @abstractmethod
    def layers_of(self, level: int) -> list[nn.Module]:
        """Return the layers of the resolution of `level`; each layer belongs to one level."""

    def image_layers(self, level: int) -> list[nn.Module]:
        """Return the image-side layers of a level: all of them, except in an autoencoder."""
        return self.layers_of(level)


class Head(nn.Module):
    """Minibatch stddev, dropout, a dense layer: [N, maps, H, W] of the base -> output."""

    def __init__(self, config: Network, maps: int) -> None:
        super().__init__()
        self.stddev_group = config.stddev_group
        self.dropout = nn.Dropout(config.dropout)
        self.dense = Dense(
            config.base.pixels * (maps + bool(self.stddev_group)),
            1 + config.label_size,
            gain=1,
            equalized=config.equalized_lr,
        )

    def forward(self, x: Tensor, noise: Tensor | None) -> DiscriminatorOutput:
        if self.stddev_group:
            x = append_minibatch_stddev(x, self.stddev_group)
        out = self.dense(self.dropout(apply_multiplicative_noise(x, noise).flatten(1)))
        return DiscriminatorOutput(out[:, 0], out[:, 1:])
