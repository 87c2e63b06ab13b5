"""Multiplications against hand counts."""

from dataclasses import replace

import pytest

from progan.config import Network
from progan.networks.inspection import multiply_adds
from tests.for_each import for_each


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


@for_each("fused", [True, False])
@for_each(("height", "width"), [(4, 4), (4, 6), (7, 5)])
@for_each("level", [2, 3, 5])
def test_every_multiplication_is_counted(level: int, height: int, width: int, fused: bool) -> None:
    config = Network(
        resolution=32, base_height=height, base_width=width, fmap_base=256, label_size=3,
        stddev_group=0, fused_scaling=fused,
    )  # fmt: skip
    assert multiply_adds(config, level) == by_hand(config, level)


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("output_kernel", [0, 5])
def test_dcgan(kernel: int, output_kernel: int) -> None:
    config = Network(
        kind="dcgan", resolution=16, latent_size=5, fmap_base=16, fmap_max=64, kernel=kernel,
        output_kernel=output_kernel, channels=1, stddev_group=0,
    )  # fmt: skip
    taps = kernel**2  # at each pixel of the smaller side
    last = 2 if output_kernel else 1  # 8, 4 and perhaps 2 maps, or the image itself
    generator = (
        5 * 8 * 16
        + taps * (8 * 4 * 16 + 4 * last * 64)
        + (output_kernel**2 * 2 * 1 * 256 if output_kernel else 0)
    )
    discriminator = taps * (1 * 4 * 64 + 4 * 8 * 16) + 8 * 16
    assert multiply_adds(config, 4) == generator + discriminator


@pytest.mark.parametrize("kind", ["progressive", "dcgan", "resnet", "autoencoder", "stacked-mnist"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_cost_nothing_that_is_counted(kind: str, norm: str) -> None:
    config = Network(kind=kind, resolution=16, latent_size=5, fmap_base=16, fmap_max=6)
    g_norm = "batch" if norm == "batch" else "none"
    assert multiply_adds(replace(config, d_norm=norm, g_norm=g_norm), 4) == (
        multiply_adds(config, 4)
    )
