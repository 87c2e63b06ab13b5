"""Growing is continuous: a fade begins where the lower level ended, and ends in the new one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from progan import networks as nets
from progan.config import Network
from progan.ops import down2x, up2x
from tests.for_each import for_each
from tests.networks.agreement import randomized

SMALL = Network(resolution=32, latent_size=6, fmap_base=64, d_fmap_base=32, fmap_max=16)
VARIANTS = {
    "plain": {},
    "tanh": dict(output="tanh"),
    "relu": dict(g_activation="relu"),
    "batch norm": dict(g_norm="batch", d_norm="batch", output="sigmoid"),
    "no stddev": dict(stddev_group=0),
}
every_fade = for_each("level", [3, 4, 5])
every_network = for_each(
    "config",
    [
        pytest.param(replace(SMALL, kind=kind, **options), id=f"{kind}, {name}")
        for kind in ("progressive", "stacked-mnist")
        for name, options in VARIANTS.items()
    ],
)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def weight(alpha: float) -> Tensor:
    return torch.tensor(alpha, dtype=torch.float64)


def assert_same(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@every_fade
@every_network
def test_generators(config: Network, level: int) -> None:
    generator = randomized(nets.build_generator(config))

    def drawn(level: int, alpha: Tensor | None = None) -> Tensor:
        return generator(noise(8, 6), torch.zeros(8, 0, dtype=torch.float64), level, alpha)

    assert_same(drawn(level, weight(1.0)), drawn(level))
    assert_same(drawn(level, weight(0.0)), up2x(drawn(level - 1)))
    assert not torch.allclose(drawn(level, weight(0.5)), drawn(level))
    near = (drawn(level, weight(1 - 1e-9)) - drawn(level)).abs().max()
    assert 0 < near < 1e-7 * drawn(level).abs().max() + 1e-7


@every_fade
@every_network
def test_discriminators(config: Network, level: int) -> None:
    discriminator = randomized(nets.build_discriminator(config))
    images = noise(8, 3, 2**level, 2**level)

    def scores(level: int, alpha: Tensor | None = None, images: Tensor = images) -> Tensor:
        return discriminator(images, level, alpha).scores

    assert_same(scores(level, weight(1.0)), scores(level))
    assert_same(scores(level, weight(0.0)), scores(level - 1, images=down2x(images)))
    assert not torch.allclose(scores(level, weight(0.5)), scores(level))


@for_each("level", [2, 3, 4, 5])
@every_network
def test_a_level_uses_its_own_layers_alone(config: Network, level: int) -> None:
    """What is higher, and the ways in and out of the other levels, get no gradient."""
    generator, discriminator = nets.build_generator(config), nets.build_discriminator(config)
    for network in (generator, discriminator):
        randomized(network).requires_grad_()
    images = generator(
        noise(8, 6),
        torch.zeros(8, 0, dtype=torch.float64),
        level,
        weight(0.5) if level > 2 else None,
    )
    discriminator(
        images, level, weight(0.5) if level > 2 else None
    ).scores.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            sizes = [word for word in name.split(".") if "x" in word and word[0].isdigit()]
            side = int(sizes[0].split("x")[0]) if sizes else 4
            used = side in (2**level, 2 ** (level - 1)) if "rgb" in name else side <= 2**level
            assert (parameter.grad is not None) == used, name
