"""Features of discriminators and of VGG-16, and how different they are."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from progan import networks
from progan.cli.train import main as train
from progan.config import Network
from progan.errors import UserError
from progan.projection.search import (
    discriminator_features,
    feature_distance,
    find_discriminator,
    make_distance,
    vgg16_features,
)
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import Snapshot, load_network
from tests.builders import noise_dataset, tiny_options, tiny_snapshot
from tests.metrics.test_vgg16 import weights

CPU = torch.device("cpu")


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape).astype(np.float32))


def critic_of(snapshot: Snapshot) -> networks.Discriminator:
    torch.manual_seed(0)
    discriminator = networks.build_discriminator(snapshot.generator.config)
    for weight in discriminator.parameters():
        torch.nn.init.normal_(weight)
    return discriminator


def test_the_difference_against_numpy() -> None:
    shapes = [(3, 5, 4, 4), (3, 2, 8, 8)]
    ones = [random(*shape, seed=1) for shape in shapes]
    others = [random(1, *shape[1:], seed=2) for shape in shapes]
    layers = []
    for one, other in zip(ones, others, strict=True):
        a, b = one.numpy().astype(float), other.numpy().astype(float)
        a /= np.sqrt((a**2).sum(1, keepdims=True))
        b /= np.sqrt((b**2).sum(1, keepdims=True))
        layers.append(((a - b) ** 2).sum(1).mean((1, 2)))
    np.testing.assert_allclose(feature_distance(ones, others), np.mean(layers, 0), rtol=1e-5)
    assert float(feature_distance(others, others)) == 0


def test_features_count_beside_pixels() -> None:
    snapshot = tiny_snapshot()
    features = discriminator_features(critic_of(snapshot), snapshot)
    target, images = random(1, 3, 16, 16, seed=3), random(4, 3, 16, 16, seed=4)
    pixels = make_distance(target, None)(images)
    np.testing.assert_allclose(pixels, ((images - target) ** 2).mean((1, 2, 3)), rtol=1e-6)
    both = make_distance(target, features)
    torch.testing.assert_close(
        both(images), pixels + feature_distance(features(images), features(target))
    )
    assert float(both(target)) == 0


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_a_discriminator_gives_a_map_for_each_layer_at_work(alpha: float) -> None:
    snapshot = tiny_snapshot(alpha=alpha)
    features = discriminator_features(critic_of(snapshot), snapshot)
    for _ in range(2):  # what was found before is forgotten
        sides = [each.shape[-1] for each in features(random(2, 3, 16, 16))]
        # From RGB and block at 16 and 8; while 16 is faded in, from RGB at 8 as well.
        assert sides == ([16, 8, 4] if alpha == 1 else [16, 8, 8, 4])


def test_features_of_an_image_do_not_depend_on_others() -> None:
    snapshot = tiny_snapshot()
    features = discriminator_features(critic_of(snapshot), snapshot)
    images = random(4, 3, 16, 16)
    alone = [each.clone() for each in features(images[:1])]
    for one, many in zip(alone, features(images), strict=True):
        torch.testing.assert_close(one[0], many[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["dcgan", "resnet", "autoencoder"])
def test_every_kind_of_discriminator_has_features(kind: str) -> None:
    config = Network(kind=kind, resolution=16, latent_size=8, fmap_base=32, fmap_max=8)
    snapshot = Snapshot(
        generator=networks.build_generator(config), level=config.max_level, alpha=1.0, images_seen=0
    )
    found = discriminator_features(networks.build_discriminator(config), snapshot)(
        random(2, 3, 16, 16)
    )
    assert len(found) > 1


def test_vgg16_has_gradients(tmp_path) -> None:
    torch.save(weights(), tmp_path / "vgg16.pth")
    features = vgg16_features(tmp_path / "vgg16.pth", CPU)
    images = random(2, 4, 16, 16).requires_grad_()
    found = features(images)
    np.testing.assert_allclose(found[0].square().sum((1, 2, 3)).detach(), 1, rtol=1e-5)
    (gradient,) = torch.autograd.grad(
        feature_distance(found, features(random(1, 1, 16, 16))).sum(), images
    )
    assert (gradient.flatten(1).abs().sum(1) > 0).all()


@pytest.mark.parametrize("content", [b"", b"no weights"])
def test_other_files_are_no_vgg16(tmp_path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="VGG-16"):
        vgg16_features(path, CPU)


def test_the_discriminator_of_the_run_is_found(tmp_path) -> None:
    dataset = noise_dataset(tmp_path / "noise")
    result = CliRunner().invoke(
        train,
        ["--data", str(dataset.path), "--outdir", str(tmp_path), *tiny_options(total_kimg=1)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    path = find_network(tmp_path)
    config = load_network(path, CPU).generator.config
    beside = find_discriminator(path, config)
    assert beside is not None
    found, file = beside
    state = torch.load(file, weights_only=True)
    assert file == sorted(path.parent.glob("state-*.pt"))[-1]
    for name, weight in found.state_dict().items():
        assert torch.equal(weight, state["discriminator"][name])
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes(path.read_bytes())
    assert find_discriminator(alone, config) is None
    for state in path.parent.glob("state-*.pt"):
        state.unlink()
    path = path.rename(path.parent / "network-best-swd.safetensors")
    assert find_discriminator(path, config) is None
    with pytest.raises(UserError, match=r"network-best-swd\.safetensors\. Name that file itself"):
        find_network(path.parent)
