"""The progressive networks against plain NumPy in float64, and against the paper's own sizes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from progan import networks as nets
from progan.config import Network
from tests.for_each import for_each
from tests.networks.agreement import (
    BATCH,
    assert_discriminator_agrees,
    assert_generator_agrees,
    randomized,
)

SMALL = Network(resolution=32, latent_size=16, fmap_base=64, fmap_max=16)  # 16, 16, 8, 4 maps
# Feature maps from 4x4 to 1024x1024: table 2 of the paper.
PAPER_MAPS = (512, 512, 512, 512, 256, 128, 64, 32, 16)

VARIANTS = {
    "grey": replace(SMALL, channels=1), "rgba": replace(SMALL, channels=4),
    "labels": replace(SMALL, label_size=5), "not equalized": replace(SMALL, equalized_lr=False),
    "no pixel norm": replace(SMALL, g_norm="none"),
    "raw latents": replace(SMALL, normalize_latents=False),
    "no stddev": replace(SMALL, stddev_group=0), "groups of 2": replace(SMALL, stddev_group=2),
    "groups of 16": replace(SMALL, stddev_group=16),
    "relu": replace(SMALL, g_activation="relu", d_activation="relu"),
    "elu": replace(SMALL, g_activation="elu", d_activation="elu"),
    "two activations": replace(SMALL, g_activation="elu", d_activation="relu"),
    "tanh": replace(SMALL, output="tanh"), "sigmoid": replace(SMALL, output="sigmoid"),
    "batch norm": replace(SMALL, g_norm="batch", d_norm="batch"),
    "layer norm": replace(SMALL, d_norm="layer"),
    "unfused batch norm": replace(SMALL, d_norm="batch", fused_scaling=False),
    "narrow critic": replace(SMALL, d_fmap_base=16),
    "neighbours": replace(SMALL, minibatch_kernels=3),
    "unfused": replace(SMALL, fused_scaling=False), "slow decay": replace(SMALL, fmap_decay=0.5),
    "landscape": replace(SMALL, base_height=4, base_width=6),
    "portrait": replace(SMALL, base_height=7, base_width=5),
    "landscape unfused": replace(SMALL, base_width=10, fused_scaling=False),
}  # fmt: skip
PLACES = [(2, 1.0), *((level, alpha) for level in (3, 4, 5) for alpha in (0.3, 1.0))]


@pytest.mark.parametrize(("level", "alpha"), PLACES)
def test_every_level_and_fade(level: int, alpha: float) -> None:
    assert_generator_agrees(SMALL, level, alpha)
    assert_discriminator_agrees(SMALL, level, alpha)


@for_each(("level", "alpha"), PLACES)
@for_each("name", ["landscape", "portrait", "landscape unfused"])
def test_every_level_and_fade_of_other_shapes(name: str, level: int, alpha: float) -> None:
    assert_generator_agrees(VARIANTS[name], level, alpha)
    assert_discriminator_agrees(VARIANTS[name], level, alpha)


@for_each("name", VARIANTS)
def test_every_switch(name: str) -> None:
    assert_generator_agrees(VARIANTS[name], 4, 0.6)
    assert_discriminator_agrees(VARIANTS[name], 4, 0.6)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 9])
def test_batches_that_the_group_does_not_divide(n: int) -> None:
    assert_discriminator_agrees(SMALL, 3, 1.0, n)


@pytest.mark.parametrize(
    "name", ["not equalized", "no pixel norm", "raw latents", "groups of 2", "relu", "unfused"]
)
def test_every_switch_makes_a_difference_with_the_same_weights(name: str) -> None:
    """Else the reference could ignore a switch as well, and the comparison would not notice."""
    latents = torch.from_numpy(np.random.RandomState(4).randn(BATCH, SMALL.latent_size))
    images = torch.from_numpy(np.random.RandomState(5).uniform(-1, 1, (BATCH, 3, 16, 16)))
    results = []
    for config in (SMALL, VARIANTS[name]):
        generator = randomized(nets.build_generator(config))
        discriminator = randomized(nets.build_discriminator(config))
        drawn = generator(latents, torch.zeros(BATCH, 0), 4)
        results.append(torch.cat([drawn.flatten(), discriminator(images, 4)[0]]))
    assert not torch.allclose(*results, rtol=1e-6)


@for_each("label_size", [0, 10])
def test_shapes_at_the_widths_of_the_paper(label_size: int) -> None:
    config = Network(label_size=label_size)
    with torch.device("meta"):
        generator, discriminator = nets.build_generator(config), nets.build_discriminator(config)
        latents, labels = torch.empty(4, 512), torch.empty(4, label_size)
        for level in range(2, 11):
            for alpha in (None, torch.tensor(0.5)) if level > 2 else (None,):
                images = generator(latents, labels, level, alpha)
                assert images.shape == (4, 3, 2**level, 2**level)
                scores, logits, _ = discriminator(images, level, alpha)
                assert (scores.shape, logits.shape) == ((4,), (4, label_size))


def weights_of_generator(maps: tuple[int, ...]) -> int:
    """Table 2, left: weights and biases, and a toRGB layer at each level (figure 2)."""
    first = 512 * 16 * maps[0] + maps[0] + 9 * maps[0] ** 2 + maps[0]
    grown = sum(9 * below * m + m + 9 * m * m + m for below, m in zip(maps, maps[1:], strict=False))
    return first + grown + sum(3 * m + 3 for m in maps)


def weights_of_discriminator(maps: tuple[int, ...]) -> int:
    """Table 2, right: the last block sees one more map, the standard deviation."""
    grown = sum(
        9 * m * m + m + 9 * m * below + below for below, m in zip(maps, maps[1:], strict=False)
    )
    last = 9 * (maps[0] + 1) * maps[0] + maps[0] + 16 * maps[0] * 512 + 512 + 512 + 1
    return last + grown + sum(3 * m + m for m in maps)


def test_as_many_weights_as_in_the_paper() -> None:
    with torch.device("meta"):
        found = [
            sum(p.numel() for p in network(Network()).parameters())
            for network in (nets.build_generator, nets.build_discriminator)
        ]
    expected = [weights_of_generator(PAPER_MAPS), weights_of_discriminator(PAPER_MAPS)]
    assert found == expected
    assert [round(number / 1e6, 1) for number in expected] == [23.1, 23.1]  # the paper's own sum
