"""The progressive generator (appendix A.1, table 2 of the paper)."""

import torch
from torch import Tensor, nn

from progan.config import MIN_LEVEL, Network
from progan.networks.layers import (
    Activation,
    Conv,
    DenseToMaps,
    UpConv,
    activation,
    resolution_name,
)
from progan.ops.fade import fade
from progan.ops.normalize import pixel_norm
from progan.ops.resample import up2x


class Generator(nn.Module):
    """Latents to images. All levels exist from birth; growing only means to use more of them."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self.config = config
        levels = range(MIN_LEVEL, config.max_level + 1)
        act = _norm_after(activation(config.leaky_relu), config.pixel_norm)
        self.blocks = nn.ModuleDict({
            resolution_name(level): FirstBlock(config, act) if level == MIN_LEVEL
            else UpBlock(config, level, act) for level in levels})
        self.to_rgb = nn.ModuleDict({
            resolution_name(level): Conv(config.feature_maps(level), config.channels, 1, gain=1,
                                         equalized=config.equalized_lr) for level in levels})

    def forward(self, latents: Tensor, labels: Tensor, level: int,
                alpha: Tensor | None = None) -> Tensor:
        """Draw images at the resolution of `level`.

        Args:
            latents: [N, latent_size], from a standard normal distribution.
            labels: [N, label_size], one-hot; label_size may be 0.
            alpha: 0-d, weight of the newest level while it is faded in; None: fully faded in.

        Returns:
            [N, channels, H, W] of `config.size(level)`, with [-1, 1] meaning black to white.
        """
        x = torch.cat([latents, labels], dim=1)
        if self.config.normalize_latents:
            x = pixel_norm(x)
        for below in range(MIN_LEVEL, level):
            x = self.blocks[resolution_name(below)](x)
        newest = resolution_name(level)
        new: Tensor = self.to_rgb[newest](self.blocks[newest](x))
        if alpha is None:
            return new
        return fade(up2x(self.to_rgb[resolution_name(level - 1)](x)), new, alpha)


class FirstBlock(nn.Module):
    """[N, latent_size + label_size] -> [N, F, H, W] of the base."""

    def __init__(self, config: Network, act: Activation) -> None:
        super().__init__()
        maps = config.feature_maps(MIN_LEVEL)
        self.act = act
        self.dense = DenseToMaps(config.latent_size + config.label_size, maps, config.base,
                                 equalized=config.equalized_lr)
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(self.act(self.dense(x))))


class UpBlock(nn.Module):
    """[N, F below, H/2, W/2] -> [N, F, H, W]."""

    def __init__(self, config: Network, level: int, act: Activation) -> None:
        super().__init__()
        below, maps = config.feature_maps(level - 1), config.feature_maps(level)
        self.act = act
        self.up = UpConv(below, maps, fused=config.fused_scaling, equalized=config.equalized_lr)
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.conv(self.act(self.up(x))))


def _norm_after(act: Activation, normalize: bool) -> Activation:
    """Pixel norm comes after the activation (official order: conv, bias, activation, norm)."""
    return (lambda x: pixel_norm(act(x))) if normalize else act
