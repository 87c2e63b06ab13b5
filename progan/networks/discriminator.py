"""The progressive discriminator, or critic (appendix A.1, table 2 of the paper)."""

from torch import Tensor, nn

from progan.config import MIN_LEVEL, Network
from progan.networks.layers import (
    Activation,
    Conv,
    ConvDown,
    Dense,
    activation,
    resolution_name,
)
from progan.ops.fade import fade
from progan.ops.minibatch_stddev import minibatch_stddev
from progan.ops.resample import down2x


class Discriminator(nn.Module):
    """Images to scores. All levels exist from birth; growing only means to use more of them."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self.config = config
        self.act = activation(config.leaky_relu)
        levels = range(MIN_LEVEL, config.max_level + 1)
        self.from_rgb = nn.ModuleDict({
            resolution_name(level): Conv(config.channels, config.feature_maps(level), 1,
                                         equalized=config.equalized_lr) for level in levels})
        self.blocks = nn.ModuleDict({
            resolution_name(level): LastBlock(config, self.act) if level == MIN_LEVEL
            else DownBlock(config, level, self.act) for level in levels})

    def forward(self, images: Tensor, level: int,
                alpha: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Judge images at the resolution of `level`.

        Args:
            images: [N, channels, H, W] in [-1, 1], of `config.size(level)`.
            alpha: 0-d, weight of the newest level while it is faded in; None: fully faded in.

        Returns:
            Scores [N], higher for real, and label logits [N, label_size].
        """
        x = self._features(images, level)
        if level > MIN_LEVEL:
            x = self.blocks[resolution_name(level)](x)
            if alpha is not None:
                x = fade(self._features(down2x(images), level - 1), x, alpha)
            for below in range(level - 1, MIN_LEVEL, -1):
                x = self.blocks[resolution_name(below)](x)
        out = self.blocks[resolution_name(MIN_LEVEL)](x)
        return out[:, 0], out[:, 1:]

    def _features(self, images: Tensor, level: int) -> Tensor:
        features: Tensor = self.act(self.from_rgb[resolution_name(level)](images))
        return features


class DownBlock(nn.Module):
    """[N, F, H, W] -> [N, F below, H/2, W/2]."""

    def __init__(self, config: Network, level: int, act: Activation) -> None:
        super().__init__()
        maps, below = config.feature_maps(level), config.feature_maps(level - 1)
        self.act = act
        self.conv = Conv(maps, maps, 3, equalized=config.equalized_lr)
        self.down = ConvDown(maps, below, act, fused=config.fused_scaling,
                             equalized=config.equalized_lr)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.down(self.act(self.conv(x)))
        return features


class LastBlock(nn.Module):
    """[N, F, H, W] of the base -> [N, 1 + label_size]."""

    def __init__(self, config: Network, act: Activation) -> None:
        super().__init__()
        maps, hidden = config.feature_maps(MIN_LEVEL), config.feature_maps(MIN_LEVEL - 1)
        self.act, self.stddev_group = act, config.stddev_group
        self.conv = Conv(maps + bool(self.stddev_group), maps, 3, equalized=config.equalized_lr)
        self.hidden = Dense(maps * config.base.pixels, hidden, equalized=config.equalized_lr)
        self.output = Dense(hidden, 1 + config.label_size, gain=1, equalized=config.equalized_lr)

    def forward(self, x: Tensor) -> Tensor:
        if self.stddev_group:
            x = minibatch_stddev(x, self.stddev_group)
        x = self.act(self.conv(x))
        out: Tensor = self.output(self.act(self.hidden(x.flatten(1))))
        return out
