"""DCGAN (Radford et al. 2015): one resampling convolution for each level, of any kernel size."""

import torch.nn.functional as F
from torch import Tensor, nn

from progan.config import Network
from progan.networks.interface import Discriminator, DiscriminatorOutput, Generator, Head
from progan.networks.layers import OUTPUTS, Conv, DenseToMaps, EqualizedLayer, NormActivation
from progan.ops import apply_multiplicative_noise
from progan.sizes import MIN_LEVEL


class ConvTransposed(EqualizedLayer):
    """Transposed convolution of stride 2: [N, inputs, H, W] -> [N, outputs, 2H, 2W]."""

    def __init__(self, inputs: int, outputs: int, size: int, *, equalized: bool) -> None:
        super().__init__((outputs, inputs, size, size), 2 * 2**0.5, equalized)

    def forward(self, x: Tensor) -> Tensor:
        size = self.weight.shape[-1]
        x, weight = self.operands(x)
        return F.conv_transpose2d(
            x, weight.transpose(0, 1), self.bias, stride=2, padding=(size - 1) // 2,
            output_padding=size % 2,
        )  # fmt: skip


class ConvStrided(EqualizedLayer):
    """Convolution of stride 2: [N, inputs, H, W] -> [N, outputs, H/2, W/2]."""

    def __init__(self, inputs: int, outputs: int, size: int, *, equalized: bool) -> None:
        super().__init__((outputs, inputs, size, size), 2**0.5, equalized)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            *self.operands(x), self.bias, stride=2, padding=(self.weight.shape[-1] - 1) // 2
        )


class DcganGenerator(Generator):
    """With an output kernel, one more convolution makes the image."""

    def __init__(self, config: Network) -> None:
        super().__init__(config)
        equalized, last = config.equalized_lr, config.max_level
        maps = {level: config.feature_maps(level) for level in range(MIN_LEVEL, last + 1)}
        hidden = [level for level in maps if level < last or config.output_kernel]
        outputs = {level: maps[level] if level in hidden else config.channels for level in maps}
        self.first = DenseToMaps(
            config.latent_size + config.label_size,
            outputs[MIN_LEVEL],
            config.base,
            equalized=equalized,
        )
        self.ups = nn.ModuleList(
            ConvTransposed(maps[level - 1], outputs[level], config.kernel, equalized=equalized)
            for level in maps
            if level > MIN_LEVEL
        )
        self.acts = nn.ModuleList(
            NormActivation(config.g_activation, config.g_norm, maps[level], running=True)
            for level in hidden
        )
        self.to_rgb = (
            Conv(maps[last], config.channels, config.output_kernel, gain=1, equalized=equalized)
            if config.output_kernel
            else nn.Identity()
        )
        self.output = OUTPUTS[config.output]

    def forward(
        self, latents: Tensor, labels: Tensor, level: int, alpha: Tensor | None = None
    ) -> Tensor:
        """Generate images at the full resolution; level and alpha are ignored."""
        x = self.first(self.concat_inputs(latents, labels))
        for number, act in enumerate(self.acts):
            x = act(x)
            if number < len(self.ups):
                x = self.ups[number](x)
        return self.output(self.to_rgb(x))

    def layers_of(self, level: int) -> list[nn.Module]:
        number = level - MIN_LEVEL
        layers = [self.ups[number - 1] if number else self.first, *self.acts[number : number + 1]]
        return [*layers, self.to_rgb] if level == self.config.max_level else layers


class DcganDiscriminator(Discriminator):
    """The first layer is not normalised."""

    def __init__(self, config: Network) -> None:
        super().__init__(config)
        d_config, last = config.discriminator_config, config.max_level
        maps = {level: d_config.feature_maps(level) for level in range(MIN_LEVEL, last)}
        maps[last] = config.channels
        levels = range(last, MIN_LEVEL, -1)
        self.downs = nn.ModuleList(
            ConvStrided(maps[level], maps[level - 1], config.kernel, equalized=config.equalized_lr)
            for level in levels
        )
        self.acts = nn.ModuleList(
            NormActivation(
                config.d_activation, config.d_norm if level < last else "none", maps[level - 1]
            )
            for level in levels
        )
        self.head = Head(config, maps[MIN_LEVEL])

    def forward(
        self, images: Tensor, level: int, alpha: Tensor | None = None, noise: Tensor | None = None
    ) -> DiscriminatorOutput:
        """Score images of the full resolution; level and alpha are ignored."""
        x = images
        for down, act in zip(self.downs, self.acts, strict=True):
            x = act(down(apply_multiplicative_noise(x, noise)))
        output: DiscriminatorOutput = self.head(x, noise)
        return output

    def layers_of(self, level: int) -> list[nn.Module]:
        number = self.config.max_level - level
        return [self.head] if level == MIN_LEVEL else [self.downs[number], self.acts[number]]
