"""Multiplications against hand counts."""

from dataclasses import replace

import pytest

from progan.config import Network
from progan.networks.cost import multiply_adds

PROGRESSIVE = Network(resolution=8, latent_size=5, fmap_base=16, fmap_max=6, label_size=2)
# Feature maps: 6 at 4x4 and 4 at 8x8 (16/4), 6 in the hidden layer.


@pytest.mark.parametrize("fused", [True, False])
def test_progressive(fused: bool) -> None:
    config = replace(PROGRESSIVE, fused_scaling=fused)
    # A fused kernel has 4x4 taps at each small pixel, a plain one 3x3 taps at each large one.
    resampling = 6 * 4 * (16 * 16 if fused else 9 * 64)
    first = (5 + 2) * 6 * 16 + 9 * 6 * 6 * 16
    last = 9 * (6 + 1) * 6 * 16 + 6 * 16 * 6 + 6 * (1 + 2)
    at_4 = first + 6 * 3 * 16 + 3 * 6 * 16 + last
    at_8 = first + resampling + 9 * 4 * 4 * 64 + 4 * 3 * 64 + (
        3 * 4 * 64 + 9 * 4 * 4 * 64 + resampling + last)
    assert multiply_adds(config, 2) == at_4
    assert multiply_adds(config, 3) == at_8


@pytest.mark.parametrize("kernel", [3, 4, 5])
@pytest.mark.parametrize("output_kernel", [0, 5])
def test_dcgan(kernel: int, output_kernel: int) -> None:
    config = Network(kind="dcgan", resolution=16, latent_size=5, fmap_base=16, fmap_max=64,
                     kernel=kernel, output_kernel=output_kernel, channels=1, stddev_group=0)
    taps = kernel**2  # at each pixel of the smaller side
    last = 2 if output_kernel else 1  # 8, 4 and perhaps 2 maps, or the image itself
    generator = 5 * 8 * 16 + taps * (8 * 4 * 16 + 4 * last * 64) + (
        output_kernel**2 * 2 * 1 * 256 if output_kernel else 0)
    discriminator = taps * (1 * 4 * 64 + 4 * 8 * 16) + 8 * 16
    assert multiply_adds(config, 4) == generator + discriminator


@pytest.mark.parametrize("kind", ["progressive", "dcgan", "resnet", "autoencoder",
                                  "stacked-mnist"])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_cost_nothing_that_is_counted(kind: str, norm: str) -> None:
    config = Network(kind=kind, resolution=16, latent_size=5, fmap_base=16, fmap_max=6)
    g_norm = "batch" if norm == "batch" else "none"
    assert multiply_adds(replace(config, d_norm=norm, g_norm=g_norm), 4) == (
        multiply_adds(config, 4))
