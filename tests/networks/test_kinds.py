"""All kinds of networks and their options: against plain NumPy, shapes, sizes and gradients."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from progan import networks as nets
from progan.config import Network
from progan.losses.penalties import gradient_norms
from progan.networks.layers import BatchNorm, MinibatchDiscrimination, NormActivation
from progan.training.state import initialize
from tests.for_each import for_each
from tests.networks.agreement import (
    as_tensor,
    assert_discriminator_agrees,
    assert_generator_agrees,
    one_hot,
    randomized,
)
from tests.reference.numpy_kinds import encode
from tests.reference.numpy_networks import with_neighbours

SMALL = Network(resolution=16, latent_size=6, fmap_base=24, fmap_max=8, code_size=5)
KINDS = tuple(nets.NETWORKS)

OPTIONS = {
    "plain": {}, "grey": dict(channels=1), "rgba": dict(channels=4), "labels": dict(label_size=3),
    "not equalized": dict(equalized_lr=False), "raw latents": dict(normalize_latents=False),
    "no pixel norm": dict(g_norm="none"), "batch norm": dict(g_norm="batch", d_norm="batch"),
    "layer norm": dict(d_norm="layer"), "relu": dict(g_activation="relu", d_activation="relu"),
    "two activations": dict(g_activation="elu", d_activation="relu"),
    "elu": dict(d_activation="elu"), "tanh": dict(output="tanh"), "sigmoid": dict(output="sigmoid"),
    "groups of 2": dict(stddev_group=2), "no stddev": dict(stddev_group=0),
    "wide critic": dict(d_fmap_base=40), "unfused": dict(fused_scaling=False),
}  # fmt: skip
OWN_OPTIONS = {
    "dcgan": {
        **{f"kernel {size}": dict(kernel=size) for size in (2, 3, 5, 6)},
        **{f"output kernel {size}": dict(output_kernel=size) for size in (1, 2, 3, 4, 7)},
        "kernels of the book": dict(kernel=4, output_kernel=5, label_size=2, g_norm="batch"),
    },
    "autoencoder": {
        "l2": dict(energy="l2"),
        "code of 1": dict(code_size=1),
        "wide code": dict(code_size=40, label_size=2),
    },
}
CASES = [
    pytest.param(replace(SMALL, kind=kind, **options), id=f"{kind}, {name}")
    for kind in KINDS
    for name, options in (OPTIONS | OWN_OPTIONS.get(kind, {})).items()
]
each_kind = for_each("kind", KINDS)


def born(config: Network) -> tuple[nets.Generator, nets.Discriminator]:
    """Both networks in float64, with the weights that a training starts from."""
    networks = nets.build_generator(config), nets.build_discriminator(config)
    for role, network in zip(("generator", "discriminator"), networks, strict=True):
        initialize(network, 1, role)
        network.double()
    return networks


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape))


def labels_of(config: Network, n: int) -> torch.Tensor:
    return torch.from_numpy(one_hot(config, n))


@for_each("config", [case for case in CASES if case.values[0].kind != "progressive"])
def test_numbers_are_those_of_plain_numpy(config: Network) -> None:
    assert_generator_agrees(config, config.max_level, 1.0)
    assert_discriminator_agrees(config, config.max_level, 1.0)


@each_kind
def test_images_of_4x4_are_enough(kind: str) -> None:
    for channels in (1, 3):
        config = replace(SMALL, kind=kind, resolution=4, channels=channels)
        assert_generator_agrees(config, 2, 1.0)
        assert_discriminator_agrees(config, 2, 1.0)


@for_each(
    ("level", "alpha"), [(2, 1.0), (3, 0.2), (3, 1.0), (4, 0.7), (4, 1.0), (5, 0.4), (5, 1.0)]
)
@for_each(
    "options",
    [
        {},
        dict(d_norm="batch", g_norm="batch", output="tanh"),
        dict(d_activation="elu", g_activation="relu", label_size=2),
    ],
    ids=["plain", "norms", "activations"],
)
def test_stacked_mnist_networks_at_every_level_and_fade(
    level: int, alpha: float, options: dict[str, object]
) -> None:
    config = replace(
        SMALL, kind="stacked-mnist", resolution=32, fmap_base=64, d_fmap_base=32, **options
    )
    assert_generator_agrees(config, level, alpha)
    assert_discriminator_agrees(config, level, alpha)


@each_kind
@for_each(
    "name",
    [
        "not equalized",
        "raw latents",
        "no pixel norm",
        "batch norm",
        "layer norm",
        "relu",
        "elu",
        "tanh",
        "sigmoid",
    ],
)
def test_every_switch_makes_a_difference(kind: str, name: str) -> None:
    """With the same weights; else the reference could ignore a switch as well."""
    results = []
    for config in (replace(SMALL, kind=kind), replace(SMALL, kind=kind, **OPTIONS[name])):
        generator, discriminator = (
            randomized(network)
            for network in (nets.build_generator(config), nets.build_discriminator(config))
        )
        drawn = generator(noise(8, 6), torch.zeros(8, 0, dtype=torch.float64), 4)
        results.append(torch.cat([drawn.flatten(), discriminator(noise(8, 3, 16, 16), 4).scores]))
    assert not torch.allclose(*results, rtol=1e-6)


@for_each("resolution", [8, 32])
@for_each(
    "config",
    [
        replace(SMALL, kind=kind, **(OPTIONS | OWN_OPTIONS.get(kind, {}))[name])
        for kind in KINDS
        for name in (
            "plain",
            "grey",
            "rgba",
            "labels",
            "batch norm",
            "no stddev",
            "wide critic",
            *OWN_OPTIONS.get(kind, {}),
        )
    ],
    ids=lambda config: config.kind,
)
def test_shapes(config: Network, resolution: int) -> None:
    """Between them, 16x16, the numbers themselves are compared."""
    config = replace(config, resolution=resolution)
    with torch.device("meta"):
        generator, discriminator = nets.build_generator(config), nets.build_discriminator(config)
        levels = range(2, config.max_level + 1) if config.grows else (config.max_level,)
        for level in levels:
            for alpha in (None, torch.empty(())) if config.grows and level > 2 else (None,):
                images = generator(
                    torch.empty(4, 6), torch.empty(4, config.label_size), level, alpha
                )
                assert images.shape == (4, config.channels, 2**level, 2**level)
                output = discriminator(images, level, alpha, torch.empty(()))
                assert output.scores.shape == (4,)
                assert output.logits.shape == (4, config.label_size)
                if config.kind == "autoencoder":
                    assert output.code.shape == (4, config.code_size)
                else:
                    assert output.code is None


def test_the_code_of_an_autoencoder_is_what_its_decoder_gets() -> None:
    config = replace(SMALL, kind="autoencoder")
    discriminator = randomized(nets.build_discriminator(config))
    images = noise(4, 3, 16, 16)
    weights = {name: value.numpy() for name, value in discriminator.state_dict().items()}
    np.testing.assert_allclose(
        discriminator(images, 4).code, encode(config, weights, images.numpy(), 4), rtol=1e-9
    )


@each_kind
@pytest.mark.parametrize("output", ["tanh", "sigmoid"])
def test_colours_stay_between_black_and_white(kind: str, output: str) -> None:
    generator = randomized(nets.build_generator(replace(SMALL, kind=kind, output=output)))
    for parameter in generator.parameters():
        parameter.mul_(2)
    drawn = generator(noise(16, 6), torch.zeros(16, 0, dtype=torch.float64), 4)
    assert -1 <= drawn.min() < -0.9 and 0.9 < drawn.max() <= 1


class TestSizesFromThePapers:
    def test_dcgan(self) -> None:
        """Radford et al., figure 1: 1024, 512, 256 and 128 maps, kernels of 5x5, images of 64x64.

        The discriminator is its mirror.
        """
        config = Network(
            kind="dcgan", resolution=64, latent_size=100, fmap_base=2048, fmap_max=1024, kernel=5,
            stddev_group=0, g_norm="batch", d_norm="batch", output="tanh",
        )  # fmt: skip
        with torch.device("meta"):
            generator, discriminator = (
                nets.build_generator(config),
                nets.build_discriminator(config),
            )
        assert generator.first.weight.shape == (1024 * 16, 100)
        maps = [1024, 512, 256, 128, 3]
        assert [up.weight.shape for up in generator.ups] == [
            (outputs, inputs, 5, 5) for inputs, outputs in zip(maps, maps[1:], strict=False)
        ]
        assert [down.weight.shape for down in discriminator.downs] == [
            (outputs, inputs, 5, 5)
            for inputs, outputs in zip(maps[::-1], maps[-2::-1], strict=False)
        ]
        assert discriminator.head.dense.weight.shape == (1, 1024 * 16)
        normalised = [act.norm is not None for act in (*generator.acts, *discriminator.acts)]
        assert normalised == [True] * 4 + [False, True, True, True]

    @pytest.mark.parametrize(
        ("d_fmap_base", "expected", "about"), [(32, 1804, 2000), (16, 542, 500)]
    )
    def test_stacked_mnist_discriminators(
        self, d_fmap_base: int, expected: int, about: int
    ) -> None:
        """Metz et al., appendix F: K/2 and K/4 of a discriminator; 3x3, then a dense layer."""
        config = Network(
            kind="stacked-mnist",
            resolution=32,
            fmap_base=64,
            stddev_group=0,
            d_fmap_base=d_fmap_base,
        )
        with torch.device("meta"):
            discriminator = nets.build_discriminator(config)
        maps = [3, d_fmap_base // 8, d_fmap_base // 4, d_fmap_base // 2]
        assert 9 * sum(a * b for a, b in zip(maps, maps[1:], strict=False)) + 16 * maps[-1] == (
            expected
        )
        used = [*discriminator.downs.values(), discriminator.head.dense]
        assert sum(layer.weight.numel() for layer in used) == expected
        assert abs(expected - about) < 0.1 * about

    def test_stacked_mnist_generator(self) -> None:
        """64, 32, 16 and 8 maps from 4x4 to 32x32, and one convolution to the image."""
        config = Network(kind="stacked-mnist", resolution=32, fmap_base=64, latent_size=256)
        with torch.device("meta"):
            generator = nets.build_generator(config)
        assert generator.first.weight.shape == (64 * 16, 256)
        assert [conv.weight.shape[:2] for conv in generator.ups.values()] == [
            (32, 64),
            (16, 32),
            (8, 16),
        ]
        assert generator.to_rgb["32x32"].weight.shape == (3, 8, 3, 3)

    def test_began(self) -> None:
        """Berthelot et al., figure 1: n maps in the decoder; n, 2n, 3n … in the encoder."""
        n, h = 64, 64
        config = Network(
            kind="autoencoder", resolution=32, fmap_base=n, fmap_decay=0.0, fmap_max=n,
            latent_size=h, code_size=h, d_activation="elu", g_activation="elu", g_norm="none",
            stddev_group=0,
        )  # fmt: skip
        with torch.device("meta"):
            generator, discriminator = (
                nets.build_generator(config),
                nets.build_discriminator(config),
            )
        for decoder in (generator.decoder, discriminator.decoder):
            assert decoder.first.weight.shape == (n * 16, h)
            shapes = [
                conv.weight.shape[:2]
                for pair in decoder.convs
                for conv in (pair.first, pair.second)
            ]
            assert shapes == [(n, n)] * 8
        shapes = [
            conv.weight.shape[:2]
            for pair in discriminator.encoder.convs
            for conv in (pair.first, pair.second)
        ]
        assert shapes == [
            (n, n),
            (n, n),
            (2 * n, n),
            (2 * n, 2 * n),
            (3 * n, 2 * n),
            (3 * n, 3 * n),
            (4 * n, 3 * n),
            (4 * n, 4 * n),
        ]
        assert discriminator.encoder.last.weight.shape == (h, 4 * n * 16)


class TestMinibatchDiscrimination:
    @pytest.mark.parametrize("n", [1, 2, 7])
    def test_it_is_the_double_loop_of_the_paper(self, n: int) -> None:
        layer = randomized(MinibatchDiscrimination(6, 4))
        x = noise(n, 6) / 4
        expected = with_neighbours(x.numpy(), layer.weight.numpy(), layer.bias.numpy())
        np.testing.assert_allclose(layer(x), expected, rtol=1e-12)

    def test_in_half_precision_it_is_computed_in_float32(self) -> None:
        layer = randomized(MinibatchDiscrimination(6, 4)).float()
        x = (noise(7, 6) / 4).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(x), layer(x.float()))
        assert layer(x).dtype == torch.float32

    def test_equal_images_are_nearest_and_have_finite_gradients(self) -> None:
        layer = randomized(MinibatchDiscrimination(6, 4))
        x = noise(1, 6).repeat(5, 1).requires_grad_()
        out = layer(x)
        np.testing.assert_allclose(out[:, 6:].detach(), 4 + layer.bias.expand(5, -1))
        out.sum().backward()
        assert torch.isfinite(x.grad).all()

    def test_its_derivatives_are_those_of_finite_differences(self) -> None:
        layer = randomized(MinibatchDiscrimination(3, 2))
        x = (noise(4, 3) / 4).requires_grad_()
        assert torch.autograd.gradcheck(layer, x)
        assert torch.autograd.gradgradcheck(layer, x)


class TestBatchNorm:
    def test_it_normalises_in_training_and_remembers_for_single_images(self) -> None:
        norm = BatchNorm(3, track_running_stats=True).double()
        batches = [noise(20, 3, 4, 4, seed=seed) * 3 + 5 for seed in range(3)]
        mean, variance = np.zeros(3), np.ones(3)
        for batch in batches:
            out = norm(batch).detach()
            np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-12)
            np.testing.assert_allclose(out.var((0, 2, 3), correction=0), 1, rtol=1e-5)
            mean = 0.9 * mean + 0.1 * batch.numpy().mean((0, 2, 3))
            variance = 0.9 * variance + 0.1 * batch.numpy().var((0, 2, 3), ddof=1)
        one = noise(1, 3, 4, 4, seed=9)
        expected = (one.numpy() - mean.reshape(3, 1, 1)) / np.sqrt(variance.reshape(3, 1, 1) + 1e-5)
        np.testing.assert_allclose(norm.eval()(one).detach(), expected, rtol=1e-9)

    @each_kind
    def test_a_picture_of_a_generator_at_rest_does_not_depend_on_its_batch(self, kind: str) -> None:
        config = replace(SMALL, kind=kind, g_norm="batch")
        generator, _ = born(config)
        none = torch.zeros(8, 0, dtype=torch.float64)
        for seed in range(3):
            generator(noise(8, 6, seed=seed), none, 4)
        generator.eval()
        latents = noise(8, 6, seed=7)
        together = generator(latents, none, 4)
        for index in range(8):
            alone = generator(latents[index : index + 1], none[:1], 4)
            torch.testing.assert_close(alone[0], together[index], rtol=1e-12, atol=1e-12)
        assert not torch.allclose(generator.train()(latents, none, 4), together)

    @each_kind
    def test_a_discriminator_keeps_no_statistics(self, kind: str) -> None:
        """It sees reals and fakes in turn; one average of both would suit neither."""
        discriminator = nets.build_discriminator(replace(SMALL, kind=kind, d_norm="batch"))
        assert not list(discriminator.buffers())
        assert any(isinstance(module, BatchNorm) for module in discriminator.modules())


@each_kind
@for_each("d_norm", ["none", "batch", "layer"])
@for_each("stddev_group", [0, 4])
def test_gradient_penalties_work_with_every_norm(kind: str, d_norm: str, stddev_group: int) -> None:
    """torch.func.grad against torch.autograd.grad, and its own derivatives by the weights."""
    _, discriminator = born(replace(SMALL, kind=kind, d_norm=d_norm, stddev_group=stddev_group))
    images = noise(4, 3, 16, 16) / 2
    norms = gradient_norms(lambda x: discriminator(x, 4).scores, images)
    seen = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(seen, 4).scores.sum(), seen, create_graph=True)
    expected = slope.pow(2).sum((1, 2, 3)).sqrt()
    np.testing.assert_allclose(norms.detach(), expected.detach(), rtol=1e-9)
    weights = list(discriminator.parameters())
    for ours, theirs in zip(
        *(torch.autograd.grad(n.sum(), weights, allow_unused=True) for n in (norms, expected)),
        strict=True,
    ):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)


@for_each("config", CASES)
def test_every_weight_in_use_is_trained(config: Network) -> None:
    generator, discriminator = born(config)
    n = 8
    images = generator(noise(n, 6), labels_of(config, n), 4)
    output = discriminator(images, 4)
    loss = output.scores.square().sum() + (output.logits.square()).sum()
    if output.code is not None:
        loss = loss + output.code.square().sum()
    loss.backward()
    used = [
        (name, parameter)
        for network in (generator, discriminator)
        for name, parameter in network.named_parameters()
        if in_use(config, name)
    ]
    assert len(used) > 6
    before_batch_norm = "batch" in (config.g_norm, config.d_norm)
    for name, parameter in used:
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        if not (before_batch_norm or config.d_norm == "layer") or name.endswith("weight"):
            assert parameter.grad.any(), name


def in_use(config: Network, name: str) -> bool:
    """At the last level: all but the ways in and out of the lower ones."""
    lower = ("4x4", "8x8") if config.kind in ("progressive", "stacked-mnist") else ()
    return not any(
        name.startswith(f"{layer}_rgb.{size}.") for size in lower for layer in ("to", "from")
    )


class TestDropout:
    @each_kind
    def test_it_is_part_of_training_alone(self, kind: str) -> None:
        _, discriminator = born(replace(SMALL, kind=kind, dropout=0.5))
        _, plain = born(replace(SMALL, kind=kind))
        images = noise(8, 3, 16, 16)
        torch.testing.assert_close(
            discriminator.eval()(images, 4), plain(images, 4), rtol=0, atol=0
        )
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            one, other = (discriminator.train()(images, 4).scores for _ in range(2))
        assert not torch.allclose(one, other)

    def test_it_keeps_the_mean(self) -> None:
        """The last layer is linear: the mean over many masks is the score without any."""
        config = replace(SMALL, kind="dcgan", dropout=0.3)
        _, discriminator = born(config)
        image = noise(1, 3, 16, 16)
        expected = discriminator.eval()(image, 4).scores.item()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            scores = discriminator.train()(image.expand(4096, -1, -1, -1), 4).scores
        assert abs(scores.mean() - expected) < 5 * scores.std() / 64


@each_kind
def test_noise_disturbs_what_a_discriminator_says(kind: str) -> None:
    _, discriminator = born(replace(SMALL, kind=kind))
    images = noise(8, 3, 16, 16)

    def scores(strength: float | None) -> torch.Tensor:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            return discriminator(
                images, 4, None, None if strength is None else as_tensor(strength)
            ).scores

    torch.testing.assert_close(scores(None), scores(0.0), rtol=0, atol=0)
    small, large = ((scores(strength) - scores(None)).abs().mean() for strength in (0.001, 0.05))
    assert 0 < small < large


@pytest.mark.parametrize("norm", ["batch", "layer", "pixel"])
def test_norms_are_twice_differentiable(norm: str) -> None:
    layer = NormActivation("leaky-relu", norm, 2).double()
    x = noise(3, 2, 2, 1).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


def test_the_table_offers_what_the_config_offers() -> None:
    assert tuple(nets.NETWORKS) == Network.__dataclass_fields__["kind"].metadata["choices"]
