"""The last layer of most discriminators."""

from torch import Tensor, nn

from progan.config import Network
from progan.networks.contract import Judgement
from progan.networks.layers import Dense
from progan.ops.minibatch_stddev import minibatch_stddev
from progan.ops.noise import disturb


class Head(nn.Module):
    """Minibatch stddev, dropout, a dense layer: [N, maps, H, W] of the base -> judgement."""

    def __init__(self, config: Network, maps: int) -> None:
        super().__init__()
        self.stddev_group = config.stddev_group
        self.dropout = nn.Dropout(config.dropout)
        self.dense = Dense(config.base.pixels * (maps + bool(self.stddev_group)),
                           1 + config.label_size, gain=1, equalized=config.equalized_lr)

    def forward(self, x: Tensor, noise: Tensor | None) -> Judgement:
        if self.stddev_group:
            x = minibatch_stddev(x, self.stddev_group)
        out = self.dense(self.dropout(disturb(x, noise).flatten(1)))
        return Judgement(out[:, 0], out[:, 1:])
