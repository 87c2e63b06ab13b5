"""Five layers of VGG-16 against a plain torch.nn.Sequential."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metrics.detector import has_vgg16_convolutions, open_detector

CPU = torch.device("cpu")
PLAN = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)  # 0: pooling
SECONDS = (3, 8, 13, 20, 27)  # the rectified second convolutions, in the places of PLAN's layers
SIZES = [channels * 14 * 14 for channels in (64, 128, 256, 512, 512)]


def sequential() -> nn.Sequential:
    """The layers of torchvision's `features`, without weights that would take time to draw."""
    layers: list[nn.Module] = []
    channels = 3
    with torch.device("meta"):
        for width in PLAN:
            layers += (
                [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                if width
                else [nn.MaxPool2d(2)]
            )
            channels = width or channels
    return nn.Sequential(*layers)


def weights() -> dict[str, Tensor]:
    """By chance, of a gain that keeps the activations alive."""
    random = torch.Generator().manual_seed(0)
    found = {}
    for name, empty in sequential().state_dict().items():
        deviation = (2 / empty[0].numel()) ** 0.5 if empty.dim() > 1 else 0.1
        found[f"features.{name}"] = deviation * torch.randn(empty.shape, generator=random)
    return found


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("vgg16") / "vgg16.pth"
    torch.save({**weights(), "classifier.0.bias": torch.zeros(4096)}, path)
    return path


def expected(images: np.ndarray) -> list[Tensor]:
    """The five activations, averaged down to 14x14, of images uint8 [N, 3, 224, 224]."""
    plain = sequential()
    plain.load_state_dict(
        {name.removeprefix("features."): tensor for name, tensor in weights().items()}, assign=True
    )
    mean, deviation = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    x = torch.from_numpy((images / 255 - mean) / deviation).float()
    found = []
    with torch.no_grad():
        for place, layer in enumerate(plain):
            x = layer(x)
            if place in SECONDS:
                n, c, side, _ = x.shape
                found.append(x.reshape(n, c, 14, side // 14, 14, side // 14).mean((3, 5)))
    return found


def test_features_are_five_layers_of_one_length(network):
    # Plain colours in squares, so that no resizing can blur what is compared.
    squares = np.random.RandomState(0).randint(0, 256, (1, 3, 7, 7)).astype(np.uint8)
    images = squares.repeat(32, 2).repeat(32, 3)
    features, logits = open_detector(network, "vgg16", CPU).embed(torch.from_numpy(images))
    assert features.shape == (1, 288512)
    assert logits is None
    for block, layer in zip(features.split(SIZES, dim=1), expected(images), strict=True):
        flat = layer.flatten(1)
        assert float(block.norm()) == pytest.approx(5**-0.5, rel=1e-5)
        torch.testing.assert_close(block, flat / flat.norm() / 5**0.5, rtol=1e-4, atol=1e-6)
        assert flat.std() > 0.01 * flat.mean(), "a layer of nothing would tell nothing"


def test_images_of_any_size_are_brought_to_224(network):
    plain = torch.full((1, 3, 20, 30), 90, dtype=torch.uint8)
    large = torch.full((1, 3, 224, 224), 90, dtype=torch.uint8)
    opened = open_detector(network, "vgg16", CPU)
    torch.testing.assert_close(opened.embed(plain)[0], opened.embed(large)[0])


def test_a_side_may_be_asked_for(network):
    images = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (2, 3, 32, 32), np.uint8))
    assert open_detector(network, "vgg16", CPU).embed(images, 32)[0].shape == (2, 288512)


def test_only_vgg16_fits():
    shapes = {
        name: torch.empty(tensor.shape, device="meta")
        for name, tensor in (
            ("features." + name, tensor) for name, tensor in sequential().state_dict().items()
        )
    }
    assert has_vgg16_convolutions(shapes)
    assert not has_vgg16_convolutions({**shapes, "features.7.weight": torch.zeros(128)})
    for name in shapes:
        assert not has_vgg16_convolutions(
            {other: shapes[other] for other in shapes if other != name}
        )
