"""The progressive networks (appendix A.1, table 2 of the paper).

All levels exist from the start; growing only means to use more of them.
"""

from torch import Tensor, nn

from progan.config import Network
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from progan.networks.layers import (
    ACTIVATIONS,
    OUTPUTS,
    Conv,
    ConvDown,
    Dense,
    DenseToMaps,
    MinibatchDiscrimination,
    NormActivation,
    UpConv,
    resolution_name,
)
from progan.ops import append_minibatch_stddev, apply_multiplicative_noise, down2x, fade, up2x
from progan.sizes import MIN_LEVEL


class ProgressiveGenerator(Generator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        self.output = OUTPUTS[config.output]
        levels = range(MIN_LEVEL, config.max_level + 1)
        self.blocks = nn.ModuleDict(
            {
                resolution_name(level): FirstBlock(config)
                if level == MIN_LEVEL
                else UpBlock(config, level)
                for level in levels
            }
        )
        self.to_rgb = nn.ModuleDict(
            {
                resolution_name(level): Conv(
                    config.feature_maps(level),
                    config.channels,
                    1,
                    gain=1,
                    equalized=config.equalized_lr,
                )
                for level in levels
            }
        )

    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        x = self.concat_inputs(latents, labels)
        for below in range(MIN_LEVEL, level):
            x = self.blocks[resolution_name(below)](x)
        newest = resolution_name(level)
        images: Tensor = self.to_rgb[newest](self.blocks[newest](x))
        if alpha is not None:
            images = fade(up2x(self.to_rgb[resolution_name(level - 1)](x)), images, alpha)
        return self.output(images)

    def layers_of(self, level: int) -> list[nn.Module]:
        name = resolution_name(level)
        return [self.blocks[name], self.to_rgb[name]]


class FirstBlock(nn.Module):
    """[N, latent_size + label_size] -> [N, F, H, W] of the base."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        maps = config.feature_maps(MIN_LEVEL)
        self.dense = DenseToMaps(
            config.latent_size + config.label_size,
            maps,
            config.base,
            equalized=config.equalized_lr,
            pixel_bias=config.pixel_bias,
        )
        self.dense_act = _make_generator_activation(config, maps)
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)
        self.conv_act = _make_generator_activation(config, maps)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.conv_act(self.conv(self.dense_act(self.dense(x))))
        return features


class UpBlock(nn.Module):
    """[N, F below, H/2, W/2] -> [N, F, H, W]."""

    def __init__(self, config: Network, level: int) -> None:
        super().__init__()
        below, maps = config.feature_maps(level - 1), config.feature_maps(level)
        self.up = UpConv(below, maps, fused=config.fused_scaling, equalized=config.equalized_lr)
        self.up_act = _make_generator_activation(config, maps)
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)
        self.conv_act = _make_generator_activation(config, maps)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.conv_act(self.conv(self.up_act(self.up(x))))
        return features


def _make_generator_activation(config: Network, maps: int) -> NormActivation:
    return NormActivation(config.g_activation, config.g_norm, maps, running=True)


class ProgressiveDiscriminator(Discriminator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        d_config = config.discriminator_config
        self.act = ACTIVATIONS[config.d_activation]
        levels = range(MIN_LEVEL, config.max_level + 1)
        self.from_rgb = nn.ModuleDict(
            {
                resolution_name(level): Conv(
                    config.channels, d_config.feature_maps(level), 1, equalized=config.equalized_lr
                )
                for level in levels
            }
        )
        self.blocks = nn.ModuleDict(
            {
                resolution_name(level): LastBlock(d_config)
                if level == MIN_LEVEL
                else DownBlock(d_config, level)
                for level in levels
            }
        )

    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        x = self._features(images, level)
        if level > MIN_LEVEL:
            x = self.blocks[resolution_name(level)](x, noise)
            if alpha is not None:
                x = fade(self._features(down2x(images), level - 1), x, alpha)
            for below in range(level - 1, MIN_LEVEL, -1):
                x = self.blocks[resolution_name(below)](x, noise)
        out = self.blocks[resolution_name(MIN_LEVEL)](x, noise)
        return DiscriminatorOutput(out[:, 0], out[:, 1:])

    def layers_of(self, level: int) -> list[nn.Module]:
        name = resolution_name(level)
        return [self.from_rgb[name], self.blocks[name]]

    def _features(self, images: Tensor, level: int) -> Tensor:
        features: Tensor = self.act(self.from_rgb[resolution_name(level)](images))
        return features


class DownBlock(nn.Module):
    """[N, F, H, W] -> [N, F below, H/2, W/2]."""

    def __init__(self, config: Network, level: int) -> None:
        super().__init__()
        maps, below = config.feature_maps(level), config.feature_maps(level - 1)
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)
        self.conv_act = _make_discriminator_activation(config, maps)
        self.down = ConvDown(
            maps,
            below,
            _make_discriminator_activation(config, below),
            fused=config.fused_scaling,
            equalized=config.equalized_lr,
        )

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        x = self.conv_act(self.conv(apply_multiplicative_noise(x, noise)))
        features: Tensor = self.down(apply_multiplicative_noise(x, noise))
        return features


class LastBlock(nn.Module):
    """[N, F, H, W] of the base -> [N, 1 + label_size]."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        maps, hidden = config.feature_maps(MIN_LEVEL), config.feature_maps(MIN_LEVEL - 1)
        self.stddev_group = config.stddev_group
        self.conv = Conv(maps + bool(self.stddev_group), maps, 3, equalized=config.equalized_lr)
        self.conv_act = _make_discriminator_activation(config, maps)
        self.hidden = Dense(maps * config.base.pixels, hidden, equalized=config.equalized_lr)
        self.hidden_act = _make_discriminator_activation(config, hidden)
        self.neighbours = (
            MinibatchDiscrimination(hidden, config.minibatch_kernels)
            if (config.minibatch_kernels)
            else nn.Identity()
        )
        self.dropout = nn.Dropout(config.dropout)
        self.output = Dense(
            hidden + config.minibatch_kernels,
            1 + config.label_size,
            gain=1,
            equalized=config.equalized_lr,
        )

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        if self.stddev_group:
            x = append_minibatch_stddev(x, self.stddev_group)
        x = self.conv_act(self.conv(apply_multiplicative_noise(x, noise)))
        x = self.hidden_act(self.hidden(apply_multiplicative_noise(x, noise).flatten(1)))
        out: Tensor = self.output(self.dropout(self.neighbours(x)))
        return out


def _make_discriminator_activation(config: Network, maps: int) -> NormActivation:
    return NormActivation(config.d_activation, config.d_norm, maps)
