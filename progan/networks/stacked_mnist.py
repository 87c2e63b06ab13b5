"""The low-capacity networks of the stacked-MNIST test (appendix E; Metz et al. 2016, appendix F).

One convolution at each level. With fmap_base 64 the generator has 64, 32, 16 and 8 feature maps;
the discriminator's d_fmap_base of 32 is the paper's K/2 (about 2000 weights), 16 its K/4 (about
600). Grown, both get one more layer at each level on the way, as in the official code.
"""

from torch import Tensor, nn

from progan.config import Network
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator, Head
from progan.networks.layers import (
    ACTIVATIONS,
    OUTPUTS,
    Conv,
    ConvDown,
    DenseToMaps,
    NormActivation,
    UpConv,
    resolution_name,
)
from progan.ops import apply_multiplicative_noise, down2x, fade, up2x
from progan.sizes import MIN_LEVEL


class StackedMnistGenerator(Generator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        self.output = OUTPUTS[config.output]
        maps = {
            level: config.feature_maps(level - 1)
            for level in range(MIN_LEVEL, config.max_level + 1)
        }
        self.first = DenseToMaps(
            config.latent_size + config.label_size,
            maps[MIN_LEVEL],
            config.base,
            equalized=config.equalized_lr,
        )
        self.ups = nn.ModuleDict(
            {
                resolution_name(level): UpConv(
                    maps[level - 1],
                    maps[level],
                    fused=config.fused_scaling,
                    equalized=config.equalized_lr,
                )
                for level in maps
                if level > MIN_LEVEL
            }
        )
        self.acts = nn.ModuleDict(
            {
                resolution_name(level): NormActivation(
                    config.g_activation, config.g_norm, maps[level], running=True
                )
                for level in maps
            }
        )
        self.to_rgb = nn.ModuleDict(
            {
                resolution_name(level): Conv(
                    maps[level], config.channels, 3, gain=1, equalized=config.equalized_lr
                )
                for level in maps
            }
        )

    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        x = self.acts[resolution_name(MIN_LEVEL)](self.first(self.concat_inputs(latents, labels)))
        below = x
        for grown in range(MIN_LEVEL + 1, level + 1):
            below, name = x, resolution_name(grown)
            x = self.acts[name](self.ups[name](below))
        images: Tensor = self.to_rgb[resolution_name(level)](x)
        if alpha is not None:
            images = fade(up2x(self.to_rgb[resolution_name(level - 1)](below)), images, alpha)
        return self.output(images)

    def layers_of(self, level: int) -> list[nn.Module]:
        name = resolution_name(level)
        first = self.first if level == MIN_LEVEL else self.ups[name]
        return [first, self.acts[name], self.to_rgb[name]]


class StackedMnistDiscriminator(Discriminator):
    def __init__(self, config: Network) -> None:
        super().__init__(config)
        self.act = ACTIVATIONS[config.d_activation]
        last = config.max_level
        maps = {
            level: config.discriminator_config.feature_maps(level)
            for level in range(MIN_LEVEL, last)
        } | {last: config.channels}
        self.from_rgb = nn.ModuleDict(
            {
                resolution_name(level): Conv(
                    config.channels, maps[level], 1, equalized=config.equalized_lr
                )
                for level in range(MIN_LEVEL, last)
            }
        )
        levels = range(MIN_LEVEL + 1, last + 1)
        self.downs = nn.ModuleDict(
            {
                resolution_name(level): ConvDown(
                    maps[level],
                    maps[level - 1],
                    NormActivation(config.d_activation, config.d_norm, maps[level - 1]),
                    fused=config.fused_scaling,
                    equalized=config.equalized_lr,
                )
                for level in levels
            }
        )
        self.head = Head(config, maps[MIN_LEVEL])

    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        x = self._features(images, level)
        for grown in range(level, MIN_LEVEL, -1):
            x = self.downs[resolution_name(grown)](apply_multiplicative_noise(x, noise))
            if grown == level and alpha is not None:
                x = fade(self._features(down2x(images), level - 1), x, alpha)
        output: DiscriminatorOutput = self.head(x, noise)
        return output

    def layers_of(self, level: int) -> list[nn.Module]:
        name = resolution_name(level)
        from_rgb = [] if level == self.config.max_level else [self.from_rgb[name]]
        return [*from_rgb, self.head if level == MIN_LEVEL else self.downs[name]]

    def _features(self, images: Tensor, level: int) -> Tensor:
        """Return the input of the convolution of a level; at the last one, the images."""
        if level == self.config.max_level:
            return images
        features: Tensor = self.act(self.from_rgb[resolution_name(level)](images))
        return features
