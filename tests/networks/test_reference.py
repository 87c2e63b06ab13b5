"""Networks against plain NumPy in float64, and against the sizes that the paper tells."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import pytest
import torch
from torch import nn

from progan import networks as nets
from progan.config import Network
from tests.reference import numpy_networks as reference

T = TypeVar("T", bound=nn.Module)

SMALL = Network(resolution=32, latent_size=16, fmap_base=64, fmap_max=16)  # 16, 16, 8, 4 maps
BATCH = 8

# Feature maps from 4x4 to 1024x1024: table 2 of the paper.
PAPER_MAPS = (512, 512, 512, 512, 256, 128, 64, 32, 16)

VARIANTS = {
    "grey": replace(SMALL, channels=1),
    "rgba": replace(SMALL, channels=4),
    "labels": replace(SMALL, label_size=5),
    "not equalized": replace(SMALL, equalized_lr=False),
    "no pixel norm": replace(SMALL, g_norm="none"),
    "raw latents": replace(SMALL, normalize_latents=False),
    "no stddev": replace(SMALL, stddev_group=0),
    "groups of 2": replace(SMALL, stddev_group=2),
    "groups of 16": replace(SMALL, stddev_group=16),
    "relu": replace(SMALL, g_activation="relu", d_activation="relu"),
    "unfused": replace(SMALL, fused_scaling=False),
    "slow decay": replace(SMALL, fmap_decay=0.5),
    "landscape": replace(SMALL, base_height=4, base_width=6),
    "portrait": replace(SMALL, base_height=7, base_width=5),
    "landscape unfused": replace(SMALL, base_width=10, fused_scaling=False),
}
PLACES = [(2, 1.0), *((level, alpha) for level in (3, 4, 5) for alpha in (0.3, 1.0))]


def randomized(network: T) -> T:
    """The network in float64, with random numbers for all weights and biases."""
    random = np.random.RandomState(3)
    for parameter in network.double().parameters():
        values = random.randn(*parameter.shape)
        parameter.data.copy_(torch.from_numpy(values) * (1 if parameter.ndim > 1 else 0.3))
    return network.requires_grad_(False)


def arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def one_hot(config: Network, n: int) -> np.ndarray:
    return np.eye(config.label_size)[np.arange(n) * 3 % config.label_size] if (
        config.label_size) else np.zeros((n, 0))


def as_tensor(alpha: float) -> torch.Tensor | None:
    return None if alpha == 1 else torch.tensor(alpha, dtype=torch.float64)


def assert_generator_agrees(config: Network, level: int, alpha: float) -> None:
    network = randomized(nets.generator(config))
    latents = np.random.RandomState(4).randn(BATCH, config.latent_size)
    labels = one_hot(config, BATCH)
    drawn = network(torch.from_numpy(latents), torch.from_numpy(labels), level, as_tensor(alpha))
    expected = reference.generate(config, arrays(network), latents, labels, level, alpha)
    assert expected.shape == (BATCH, config.channels, *config.size(level))
    assert expected.std() > 0.01
    np.testing.assert_allclose(drawn.numpy(), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def assert_discriminator_agrees(config: Network, level: int, alpha: float, n: int = BATCH) -> None:
    network = randomized(nets.discriminator(config))
    images = np.random.RandomState(5).uniform(
        -1, 1, (n, config.channels, *config.size(level)))
    found = network(torch.from_numpy(images), level, as_tensor(alpha))
    expected = reference.judge(config, arrays(network), images, level, alpha)
    assert expected[1].shape == (n, config.label_size)
    scale = 1e-10 * np.abs(expected[0]).max()
    for ours, theirs in zip(found[:2], expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=scale)


@pytest.mark.parametrize(("level", "alpha"), PLACES)
def test_every_level_and_fade(level: int, alpha: float) -> None:
    assert_generator_agrees(SMALL, level, alpha)
    assert_discriminator_agrees(SMALL, level, alpha)


@pytest.mark.parametrize(("level", "alpha"), PLACES)
@pytest.mark.parametrize("name", ["landscape", "portrait", "landscape unfused"])
def test_every_level_and_fade_of_other_shapes(name: str, level: int, alpha: float) -> None:
    assert_generator_agrees(VARIANTS[name], level, alpha)
    assert_discriminator_agrees(VARIANTS[name], level, alpha)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_switch(name: str) -> None:
    assert_generator_agrees(VARIANTS[name], 4, 0.6)
    assert_discriminator_agrees(VARIANTS[name], 4, 0.6)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 7, 9])
def test_batches_that_the_group_does_not_divide(n: int) -> None:
    assert_discriminator_agrees(SMALL, 3, 1.0, n)


@pytest.mark.parametrize("name", ["not equalized", "no pixel norm", "raw latents", "groups of 2",
                                  "relu", "unfused"])
def test_every_switch_makes_a_difference_with_the_same_weights(name: str) -> None:
    """Else the reference could ignore a switch as well, and the comparison would not notice."""
    latents = torch.from_numpy(np.random.RandomState(4).randn(BATCH, SMALL.latent_size))
    images = torch.from_numpy(np.random.RandomState(5).uniform(-1, 1, (BATCH, 3, 16, 16)))
    results = []
    for config in (SMALL, VARIANTS[name]):
        generator = randomized(nets.generator(config))
        discriminator = randomized(nets.discriminator(config))
        drawn = generator(latents, torch.zeros(BATCH, 0), 4)
        results.append(torch.cat([drawn.flatten(), discriminator(images, 4)[0]]))
    assert not torch.allclose(*results, rtol=1e-6)


@pytest.mark.parametrize("level", range(2, 11))
@pytest.mark.parametrize("label_size", [0, 10])
def test_shapes_at_the_widths_of_the_paper(level: int, label_size: int) -> None:
    config = Network(label_size=label_size)
    with torch.device("meta"):
        generator, discriminator = nets.generator(config), nets.discriminator(config)
        latents, labels = torch.empty(4, 512), torch.empty(4, label_size)
        for alpha in (None, torch.tensor(0.5)) if level > 2 else (None,):
            images = generator(latents, labels, level, alpha)
            assert images.shape == (4, 3, 2**level, 2**level)
            scores, logits, _ = discriminator(images, level, alpha)
            assert (scores.shape, logits.shape) == ((4,), (4, label_size))


def weights_of_generator(maps: tuple[int, ...]) -> int:
    """Table 2, left: weights and biases, and a toRGB layer at each level (figure 2)."""
    first = 512 * 16 * maps[0] + maps[0] + 9 * maps[0]**2 + maps[0]
    grown = sum(9 * below * m + m + 9 * m * m + m for below, m in zip(maps, maps[1:], strict=False))
    return first + grown + sum(3 * m + 3 for m in maps)


def weights_of_discriminator(maps: tuple[int, ...]) -> int:
    """Table 2, right: the last block sees one more map, the standard deviation."""
    grown = sum(9 * m * m + m + 9 * m * below + below
                for below, m in zip(maps, maps[1:], strict=False))
    last = 9 * (maps[0] + 1) * maps[0] + maps[0] + 16 * maps[0] * 512 + 512 + 512 + 1
    return last + grown + sum(3 * m + m for m in maps)


def test_as_many_weights_as_in_the_paper() -> None:
    with torch.device("meta"):
        found = [sum(p.numel() for p in network(Network()).parameters())
                 for network in (nets.generator, nets.discriminator)]
    expected = [weights_of_generator(PAPER_MAPS), weights_of_discriminator(PAPER_MAPS)]
    assert found == expected
    assert [round(number / 1e6, 1) for number in expected] == [23.1, 23.1]  # the paper's own sum
