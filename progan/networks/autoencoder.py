"""A discriminator that is an autoencoder, and a generator like its decoder.

Zhao et al. 2016 (EBGAN) and Berthelot et al. 2017 (BEGAN), after whose figure 1 these networks
are built: two convolutions at each level, and an encoder whose feature maps grow linearly.
"""

from torch import Tensor, nn

from progan.config import Network
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator
from progan.networks.layers import OUTPUTS, Conv, Dense, DenseToMaps, NormActivation
from progan.ops import apply_multiplicative_noise, down2x, up2x
from progan.sizes import MIN_LEVEL


class AutoencoderGenerator(Generator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        self.decoder = Decoder(
            config,
            config.latent_size + config.label_size,
            config.g_activation,
            config.g_norm,
            running=True,
        )
        self.output = OUTPUTS[config.output]

    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        """Generate images at the full resolution; level and alpha are ignored."""
        return self.output(self.decoder(self.concat_inputs(latents, labels)))

    def layers_of(self, level: int) -> list[nn.Module]:
        return self.decoder.layers_of(level)


class Decoder(nn.Module):
    """[N, inputs] -> [N, channels, H, W]."""

    def __init__(
        self, config: Network, inputs: int, activation: str, norm: str, *, running: bool
    ) -> None:
        super().__init__()
        levels = range(MIN_LEVEL, config.max_level + 1)
        maps = {level: config.feature_maps(level) for level in levels}
        before = {level: maps[max(level - 1, MIN_LEVEL)] for level in levels}
        self.first = DenseToMaps(
            inputs, maps[MIN_LEVEL], config.base, equalized=config.equalized_lr
        )
        self.convs = nn.ModuleList(
            ConvPair(
                before[level], maps[level], config.equalized_lr, activation, norm, running=running
            )
            for level in levels
        )
        self.to_rgb = Conv(
            maps[config.max_level], config.channels, 3, gain=1, equalized=config.equalized_lr
        )

    def forward(self, code: Tensor) -> Tensor:
        x = self.first(code)
        for number, pair in enumerate(self.convs):
            x = pair(up2x(x) if number else x)
        images: Tensor = self.to_rgb(x)
        return images

    def layers_of(self, level: int) -> list[nn.Module]:
        number = level - MIN_LEVEL
        layers = [self.convs[number]] if number else [self.first, self.convs[number]]
        return [*layers, self.to_rgb] if number == len(self.convs) - 1 else layers


class Encoder(nn.Module):
    """[N, channels, H, W] -> [N, code_size]."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        levels = range(config.max_level, MIN_LEVEL - 1, -1)
        maps = [config.feature_maps(level) * (1 + grown) for grown, level in enumerate(levels)]
        before = [maps[0], *maps[:-1]]
        self.from_rgb = Conv(config.channels, maps[0], 3, equalized=config.equalized_lr)
        self.convs = nn.ModuleList(
            ConvPair(
                inputs,
                outputs,
                config.equalized_lr,
                config.d_activation,
                config.d_norm,
                running=False,
            )
            for inputs, outputs in zip(before, maps, strict=True)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.last = Dense(
            config.base.pixels * maps[-1], config.code_size, gain=1, equalized=config.equalized_lr
        )

    def forward(self, images: Tensor, noise: Tensor | None) -> Tensor:
        x = self.from_rgb(images)
        for number, pair in enumerate(self.convs):
            x = pair(down2x(x) if number else x, noise)
        code: Tensor = self.last(self.dropout(x.flatten(1)))
        return code

    def layers_of(self, level: int) -> list[nn.Module]:
        number = len(self.convs) - 1 - (level - MIN_LEVEL)
        layers = [self.convs[number]] if number else [self.from_rgb, self.convs[number]]
        return [*layers, self.last] if level == MIN_LEVEL else layers


class ConvPair(nn.Module):
    """Two convolutions: [N, inputs, H, W] -> [N, outputs, H, W]."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        equalized: bool,
        activation: str,
        norm: str,
        *,
        running: bool,
    ) -> None:
        super().__init__()
        self.first = Conv(inputs, outputs, 3, equalized=equalized)
        self.first_act = NormActivation(activation, norm, outputs, running=running)
        self.second = Conv(outputs, outputs, 3, equalized=equalized)
        self.second_act = NormActivation(activation, norm, outputs, running=running)

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.first_act(self.first(apply_multiplicative_noise(x, noise)))
        features: Tensor = self.second_act(self.second(apply_multiplicative_noise(x, noise)))
        return features


class AutoencoderDiscriminator(Discriminator):
    """Scores are minus the mean difference of an image from its reconstruction."""

    def __init__(self, config: Network) -> None:
        super().__init__(config)
        d_config = config.discriminator_config
        self.encoder = Encoder(d_config)
        self.decoder = Decoder(
            d_config, config.code_size, config.d_activation, config.d_norm, running=False
        )
        self.output = OUTPUTS[config.output]
        self.classes = (
            Dense(config.code_size, config.label_size, gain=1, equalized=config.equalized_lr)
            if config.label_size
            else None
        )

    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images of the full resolution; level and alpha are ignored."""
        code = self.encoder(images, noise)
        difference = self.output(self.decoder(code)) - images
        energy = difference.abs() if self.config.energy == "l1" else difference.square()
        logits = code[:, :0] if self.classes is None else self.classes(code)
        return DiscriminatorOutput(-energy.flatten(1).mean(dim=1), logits, code)

    def layers_of(self, level: int) -> list[nn.Module]:
        classes = [self.classes] if self.classes and level == MIN_LEVEL else []
        return [*self.image_layers(level), *classes, *self.decoder.layers_of(level)]

    def image_layers(self, level: int) -> list[nn.Module]:
        return self.encoder.layers_of(level)
