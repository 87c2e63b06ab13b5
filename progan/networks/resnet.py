"""The residual networks of WGAN-GP (Gulrajani et al. 2017, appendix C)."""

from torch import Tensor, nn

from progan.config import Network
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator, Head
from progan.networks.layers import OUTPUTS, Conv, ConvDown, DenseToMaps, NormActivation, UpConv
from progan.ops import apply_multiplicative_noise, down2x, up2x
from progan.sizes import MIN_LEVEL


class ResnetGenerator(Generator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        levels = range(MIN_LEVEL, config.max_level + 1)
        maps = {level: config.feature_maps(level) for level in levels}
        self.first = DenseToMaps(
            config.latent_size + config.label_size,
            maps[MIN_LEVEL],
            config.base,
            equalized=config.equalized_lr,
        )
        self.blocks = nn.ModuleList(
            ResnetUpBlock(config, maps[level - 1], maps[level]) for level in levels[1:]
        )
        self.act = _make_generator_activation(config, maps[config.max_level])
        self.to_rgb = Conv(
            maps[config.max_level], config.channels, 3, gain=1, equalized=config.equalized_lr
        )
        self.output = OUTPUTS[config.output]

    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        """Generate images at the full resolution; level and alpha are ignored."""
        x = self.first(self.concat_inputs(latents, labels))
        for block in self.blocks:
            x = block(x)
        return self.output(self.to_rgb(self.act(x)))

    def layers_of(self, level: int) -> list[nn.Module]:
        number = level - MIN_LEVEL
        layers = [self.blocks[number - 1] if number else self.first]
        return [*layers, self.act, self.to_rgb] if level == self.config.max_level else layers


class ResnetUpBlock(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, 2H, 2W]."""

    def __init__(self, config: Network, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first_act = _make_generator_activation(config, inputs)
        self.up = UpConv(inputs, outputs, fused=config.fused_scaling, equalized=config.equalized_lr)
        self.second_act = _make_generator_activation(config, outputs)
        self.conv = Conv(outputs, outputs, 3, equalized=config.equalized_lr)
        self.shortcut = Conv(inputs, outputs, 1, gain=1, equalized=config.equalized_lr)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv(self.second_act(self.up(self.first_act(x))))
        return up2x(self.shortcut(x)) + residual


def _make_generator_activation(config: Network, maps: int) -> NormActivation:
    return NormActivation(config.g_activation, config.g_norm, maps, running=True)


class ResnetDiscriminator(Discriminator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        levels = range(config.max_level, MIN_LEVEL, -1)
        maps = config.discriminator_config.feature_maps
        self.from_rgb = Conv(
            config.channels, maps(config.max_level), 3, gain=1, equalized=config.equalized_lr
        )
        self.blocks = nn.ModuleList(
            ResnetDownBlock(config, maps(level), maps(level - 1)) for level in levels
        )
        self.head = Head(config, maps(MIN_LEVEL))

    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images of the full resolution; level and alpha are ignored."""
        x = self.from_rgb(apply_multiplicative_noise(images, noise))
        for block in self.blocks:
            x = block(x, noise)
        output: DiscriminatorOutput = self.head(x, noise)
        return output

    def layers_of(self, level: int) -> list[nn.Module]:
        last = self.config.max_level
        layer = self.head if level == MIN_LEVEL else self.blocks[last - level]
        return [self.from_rgb, layer] if level == last else [layer]


class ResnetDownBlock(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, H/2, W/2]."""

    def __init__(self, config: Network, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first_act = NormActivation(config.d_activation, config.d_norm, inputs)
        self.conv = Conv(inputs, inputs, 3, equalized=config.equalized_lr)
        self.second_act = NormActivation(config.d_activation, config.d_norm, inputs)
        self.down = ConvDown(
            inputs,
            outputs,
            nn.Identity(),
            fused=config.fused_scaling,
            equalized=config.equalized_lr,
        )
        self.shortcut = Conv(inputs, outputs, 1, gain=1, equalized=config.equalized_lr)

    def forward(self, x: Tensor, noise: Tensor | None) -> Tensor:
        hidden = self.conv(apply_multiplicative_noise(self.first_act(x), noise))
        residual: Tensor = self.down(apply_multiplicative_noise(self.second_act(hidden), noise))
        shortcut: Tensor = self.shortcut(down2x(x))
        return shortcut + residual
