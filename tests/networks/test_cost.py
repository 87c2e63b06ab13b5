"""The number of multiplications against a count by hand."""

import pytest

from progan.config import Network
from progan.networks.cost import multiply_adds


def by_hand(config: Network, level: int) -> int:
    """Of the progressive networks, layer after layer.

    The resampling convolution of a block takes 9 taps for each pixel of the larger side, or 16
    for each pixel of the smaller one when it is fused.
    """
    f, base = config.feature_maps, config.base.pixels
    inputs = config.latent_size + config.label_size
    total = f(2) * base * inputs + 9 * f(2) ** 2 * base  # G at its base
    total += 9 * f(2) ** 2 * base + f(2) * base * f(1) + f(1) * (1 + config.label_size)  # D
    for grown in range(3, level + 1):
        pixels = config.size(grown).pixels
        resampling = (4 if config.fused_scaling else 9) * f(grown) * f(grown - 1)
        total += 2 * pixels * (9 * f(grown) ** 2 + resampling)
    return total + 2 * config.size(level).pixels * f(level) * config.channels


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("height", "width"), [(4, 4), (4, 6), (7, 5)])
@pytest.mark.parametrize("level", [2, 3, 5])
def test_every_multiplication_is_counted(level: int, height: int, width: int, fused: bool) -> None:
    config = Network(resolution=32, base_height=height, base_width=width, fmap_base=256,
                     label_size=3, stddev_group=0, fused_scaling=fused)
    assert multiply_adds(config, level) == by_hand(config, level)
