"""The number of multiplications against those that PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from progan.config import Network
from progan.networks import Discriminator, Generator
from progan.networks.cost import multiply_adds


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 6), (7, 5)])
@pytest.mark.parametrize("level", [2, 3, 5])
def test_every_multiplication_is_counted(level: int, height: int, width: int, fused: bool) -> None:
    config = Network(resolution=32, base_height=height, base_width=width, fmap_base=256,
                     label_size=3, stddev_group=0, fused_scaling=fused)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        images = Generator(config)(torch.empty(2, 512), torch.empty(2, 3), level)
        Discriminator(config)(images, level)
    hidden = config.feature_maps(1)
    last = hidden * (1 + config.label_size)  # the scores themselves are left out
    assert counter.get_total_flops() == 2 * 2 * (multiply_adds(config, level) + last)
