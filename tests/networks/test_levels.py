"""Each weight has one level, and a name that networks of other resolutions know it by."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from progan import networks as nets
from progan.config import Network
from progan.networks.inspection import names_by_level, tensor_levels
from progan.networks.layers import NormActivation
from tests.for_each import for_each

SMALL = Network(resolution=32, latent_size=6, fmap_base=64, fmap_max=8, code_size=5, label_size=2)
KINDS = tuple(nets.NETWORKS)
CASES = [
    pytest.param(
        replace(SMALL, kind=kind, resolution=resolution, **options),
        id=f"{kind} {resolution} {' '.join(options)}",
    )
    for kind in KINDS
    for resolution in (4, 8, 32)
    for options in ({}, dict(g_norm="batch", d_norm="layer"), dict(output_kernel=3))
]


@for_each("config", CASES)
def test_every_weight_has_one_level_and_one_name(config: Network) -> None:
    for network in (nets.build_generator(config), nets.build_discriminator(config)):
        names = list(network.state_dict())
        assert set(tensor_levels(network)) == set(names_by_level(network)) == set(names)
        assert len(set(names_by_level(network).values())) == len(names)
        layers = [
            layer for level in range(2, config.max_level + 1) for layer in network.layers_of(level)
        ]
        assert len({id(layer) for layer in layers}) == len(layers)
        assert set(tensor_levels(network).values()) == set(range(2, config.max_level + 1))


@for_each("config", CASES)
def test_layers_of_a_level_work_at_its_resolution(config: Network) -> None:
    """Inputs and outputs have it; activations belong to the layer before and are left out."""
    generator, discriminator = nets.build_generator(config), nets.build_discriminator(config)
    widest: dict[nn.Module, int] = {}

    def remember(layer: nn.Module, args: tuple[object, ...], out: object) -> None:
        widest[layer] = max(
            (x.shape[-1] for x in (*args, out) if isinstance(x, torch.Tensor) and x.ndim == 4),
            default=0,
        )

    for network in (generator, discriminator):
        for layer in network.modules():
            layer.register_forward_hook(remember)
    with torch.no_grad():
        discriminator(
            generator(torch.ones(2, 6), torch.ones(2, 2), config.max_level), config.max_level
        )
    seen = [
        (widest[layer], 2**level)
        for network in (generator, discriminator)
        for level in range(2, config.max_level + 1)
        for layer in network.layers_of(level)
        if widest.get(layer) and not isinstance(layer, NormActivation)
    ]
    assert len(seen) >= config.max_level and all(side == wanted for side, wanted in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_those_of_the_same_place_in_networks_of_two_sizes(kind: str) -> None:
    """But for the colours, which networks that do not grow have at their last level alone."""
    small, large = (replace(SMALL, kind=kind, resolution=resolution) for resolution in (16, 32))
    for make in (nets.build_generator, nets.build_discriminator):
        one, other = (
            {
                name: called
                for name, called in names_by_level(make(config)).items()
                if "rgb" not in name
            }
            for config in (small, large)
        )
        assert {called for called in other.values() if ".32x32." not in called} == {*one.values()}
        assert any(".32x32." in called for called in other.values())


def test_a_list_of_a_discriminator_counts_from_the_highest_resolution() -> None:
    small, large = (
        names_by_level(nets.build_discriminator(replace(SMALL, kind="dcgan", resolution=res)))
        for res in (16, 32)
    )
    assert small["downs.0.weight"] == large["downs.1.weight"] == "downs.16x16.weight"


def test_a_decoder_does_not_look_at_images() -> None:
    network = nets.build_discriminator(replace(SMALL, kind="autoencoder"))
    names = {layer: name for name, layer in network.named_modules()}
    assert [names[layer] for layer in network.image_layers(5)] == [
        "encoder.from_rgb",
        "encoder.convs.0",
    ]
    assert {names[layer] for layer in network.layers_of(5)} == {
        "encoder.from_rgb",
        "encoder.convs.0",
        "decoder.convs.3",
        "decoder.to_rgb",
    }


@pytest.mark.parametrize("kind", ["progressive", "stacked-mnist"])
def test_what_looks_at_a_level_is_not_used_below_it(kind: str) -> None:
    network = nets.build_discriminator(replace(SMALL, kind=kind))
    used: set[nn.Module] = set()
    for layer in network.modules():
        layer.register_forward_hook(lambda layer, args, out: used.add(layer))
    with torch.no_grad():
        network(torch.zeros(2, 3, 16, 16), 4)
    assert not used & set(network.image_layers(5)) and used & set(network.image_layers(4))
