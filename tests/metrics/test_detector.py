"""Detectors from files of all kinds."""

import hashlib
import pickle
import sys
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from metrics.detector import AT_ONCE, URLS, Detector, open_detector, pixel_detector, to_rgb
from progan.errors import UserError
from tests.builders import detector_file

CPU = torch.device("cpu")


class Means(nn.Module):
    """The mean of each channel."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3))


class MeansAndClasses(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        means = images.float().mean((2, 3))
        return means, means[:, :2] / 100


class LikeNvidia(nn.Module):
    """The signature of NVIDIA's detectors: without arguments, probabilities."""

    def forward(
        self,
        images: Tensor,
        return_features: bool = False,
        use_fp16: bool = False,
        no_output_bias: bool = False,
    ) -> Tensor:
        features = images.float().mean((2, 3))
        if return_features:
            return features
        bias = 0.0 if no_output_bias else 7.0
        return (features + bias * torch.arange(3)).softmax(1)


class WithoutClasses(nn.Module):
    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        means = images.float().mean((2, 3))
        return means if return_features else images.float()


class Sides(nn.Module):
    """The sides of the images that it is shown, and one value of each."""

    def forward(self, images: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        sides = torch.tensor([images.shape[2], images.shape[3]]).float()
        return torch.cat([sides.expand(len(images), 2), images.flatten(1).float()[:, :1]], 1)


class Pooled(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3), keepdim=True)


class ImageToImage(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float()


class OneNumber(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean()


class Table(nn.Module):
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"features": images.float().mean((2, 3))}


class Single(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (images.float().mean((2, 3)),)


class Three(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        means = images.float().mean((2, 3))
        return means, means, means


class FeaturesAndList(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        means = images.float().mean((2, 3))
        return means, [means]


class LargeOnly(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        assert images.shape[2] >= 64, "too small for me"
        return images.float().mean((2, 3))


class FiveChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(5, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(images.float()).mean((2, 3))


class NoForward(nn.Module):
    @torch.jit.export
    def encode(self, images: Tensor) -> Tensor:
        return images


def noise(count: int = 3, channels: int = 3, side: int = 16, seed: int = 0) -> Tensor:
    shape = (count, channels, side, side)
    return torch.from_numpy(np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8))


def opened(folder: Path, network: nn.Module) -> Detector:
    return open_detector(detector_file(folder / "net.pt", network), "inception", CPU)


def refusal(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        open_detector(path, "inception", CPU)
    return str(caught.value)


def test_torchscript_of_features_has_no_classes(tmp_path):
    features, logits = opened(tmp_path, Means()).embed(noise())
    torch.testing.assert_close(features, noise().float().mean((2, 3)))
    assert logits is None


def test_torchscript_of_features_and_classes_has_both(tmp_path):
    features, logits = opened(tmp_path, MeansAndClasses()).embed(noise())
    torch.testing.assert_close(logits, features[:, :2] / 100)


def test_nvidias_signature_gives_features_and_unbiased_classes(tmp_path):
    images = noise()
    features, logits = opened(tmp_path, LikeNvidia()).embed(images)
    assert logits is not None
    torch.testing.assert_close(features, images.float().mean((2, 3)))
    torch.testing.assert_close(logits.softmax(1), features.softmax(1))


def test_classes_that_are_out_of_the_question_stay_finite(tmp_path):
    images = torch.tensor([0, 0, 255], dtype=torch.uint8).reshape(1, 3, 1, 1)
    _, logits = opened(tmp_path, LikeNvidia()).embed(images)
    assert logits is not None
    assert logits.isfinite().all()
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.0, 0, 1]]))


def test_features_without_classes_are_asked_for_by_name(tmp_path):
    features, logits = opened(tmp_path, WithoutClasses()).embed(noise())
    torch.testing.assert_close(features, noise().float().mean((2, 3)))
    assert logits is None


def test_pooled_features_lose_their_sides(tmp_path):
    features, _ = opened(tmp_path, Pooled()).embed(noise())
    torch.testing.assert_close(features, noise().float().mean((2, 3)))


def test_many_images_are_shown_in_parts(tmp_path):
    images = noise(2 * AT_ONCE + 1, side=4)
    features, logits = opened(tmp_path, MeansAndClasses()).embed(images)
    assert logits is not None and len(logits) == len(images)
    torch.testing.assert_close(features, images.float().mean((2, 3)))


def test_torchscript_gets_images_of_the_side_asked_for(tmp_path):
    network = opened(tmp_path, Sides())
    plain = torch.full((2, 3, 20, 30), 77, dtype=torch.uint8)
    assert network.embed(plain)[0].tolist() == [[20, 30, 77]] * 2
    assert network.embed(plain, 75)[0].tolist() == [[75, 75, 77]] * 2


def test_grey_is_repeated(tmp_path):
    network = opened(tmp_path, Means())
    grey = noise(channels=1)
    torch.testing.assert_close(network.embed(grey)[0], network.embed(grey.repeat(1, 3, 1, 1))[0])


def test_transparency_lies_on_white():
    images = torch.tensor(
        [[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 51]], dtype=torch.uint8
    )[:, :, None, None]
    assert to_rgb(images).squeeze().tolist() == [[10, 20, 30], [255, 255, 255], [204, 224, 255]]


def test_pixels_are_features():
    images = noise(2)
    features, logits = pixel_detector().embed(images)
    torch.testing.assert_close(features, images.flatten(1) / 255)
    assert logits is None
    small = pixel_detector().embed(images[:, :, :1, :1].expand(2, 3, 8, 8), 4)[0]
    torch.testing.assert_close(small, (images[:, :, 0, 0] / 255).repeat_interleave(16, 1))


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    for name, network in (("a", Means()), ("b", MeansAndClasses())):
        (tmp_path / name).mkdir()
        detector_file(tmp_path / name / "net.pt", network)
    (tmp_path / "copy.pt").write_bytes((tmp_path / "a" / "net.pt").read_bytes())
    first, second, copy = (
        open_detector(tmp_path / name, "inception", CPU).fingerprint
        for name in ("a/net.pt", "b/net.pt", "copy.pt")
    )
    assert first == copy != second


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert f"No such file: {tmp_path / 'net.pt'}." in refusal(tmp_path / "net.pt")
    assert f"No such file: {tmp_path}." in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"just some words", b"PK\x03\x04", b"\x80\x02.", b"tt]"])
def test_a_file_of_another_kind_is_no_detector(tmp_path, content):
    (tmp_path / "net.pt").write_bytes(content)
    assert refusal(tmp_path / "net.pt").startswith(
        f"{tmp_path / 'net.pt'} is not a detector: it cannot be read as weights. Name the weights"
    )


@settings(max_examples=50)
@given(content=st.text(st.characters(codec="ascii"), max_size=40))
def test_no_text_is_a_detector(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("text") / "net.pt"
    path.write_text(content)
    assert "is not a detector" in refusal(path)


class Program:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize(
    "save",
    [torch.save, lambda program, path: path.write_bytes(pickle.dumps(program))],
    ids=["torch", "pickle"],
)
def test_a_program_in_a_pickle_is_never_run(tmp_path, save):
    program = Program(tmp_path / "trace")
    program.trace.touch()
    program.trace.unlink()
    save({"Mixed_7c.branch1x1.conv.weight": program}, tmp_path / "net.pt")
    assert "is not a detector" in refusal(tmp_path / "net.pt")
    assert not program.trace.exists()


@pytest.mark.parametrize(
    "weights",
    [
        {"layer.weight": torch.zeros(3)},
        [torch.zeros(3)],
        torch.zeros(3),
        {"features.28.weight": torch.zeros(512, 512, 3, 3)},  # of VGG-19
        {"features.28.weight": torch.zeros(256)},  # of VGG-16 with batch normalisation
        {"features.28.weight": "words"},
    ],
)
def test_weights_of_another_network_are_no_detector(tmp_path, weights):
    torch.save(weights, tmp_path / "net.pt")
    assert "its weights are those of another network" in refusal(tmp_path / "net.pt")


def test_damaged_torchscript_is_no_detector(tmp_path):
    path = detector_file(tmp_path / "net.pt", FiveChannels())
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"FiveChannels", b"SixxChannels"))
    assert "is not a detector: it cannot be read as TorchScript" in refusal(path)
    path.write_bytes(whole[:-40])
    assert "is not a detector" in refusal(path)


def test_torchscript_without_a_forward_is_no_detector(tmp_path):
    path = detector_file(tmp_path / "net.pt", NoForward())
    assert "is not a detector: it cannot be read as TorchScript" in refusal(path)


@pytest.mark.parametrize(
    ("network", "reason"),
    [(LargeOnly(), "too small for me"), (FiveChannels(), "5 channels, but got 3 channels")],
)
def test_torchscript_that_cannot_take_the_images_is_named(tmp_path, network, reason):
    with pytest.raises(
        UserError,
        match=r"The detector .*net\.pt cannot take images uint8 "
        r"\[3, 3, 16, 16\]: .*" + reason,
    ):
        opened(tmp_path, network).embed(noise())


@pytest.mark.parametrize(
    ("network", "made"),
    [(ImageToImage(), r"\[3, 3, 16, 16\]"), (OneNumber(), r"\[\]"), (Table(), "a dict")],
)
def test_torchscript_that_makes_no_features_is_no_detector(tmp_path, network, made):
    with pytest.raises(UserError, match=f"is not a detector: it returned {made} for 3 images, not"):
        opened(tmp_path, network).embed(noise())


def test_torchscript_of_a_tuple_of_features_has_no_classes(tmp_path):
    features, logits = opened(tmp_path, Single()).embed(noise())
    assert features.shape == (3, 3) and logits is None


@pytest.mark.parametrize(
    ("network", "made"),
    [
        (Three(), r"3 values, the second \[3, 3\]"),
        (FeaturesAndList(), "2 values, the second a list"),
    ],
)
def test_torchscript_of_other_tuples_is_no_detector(tmp_path, network, made):
    with pytest.raises(UserError, match=f"is not a detector: it returned {made}, not features and"):
        opened(tmp_path, network).embed(noise())


@pytest.fixture
def checkpoints(tmp_path, monkeypatch) -> Path:
    """Where torch keeps what it fetches."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize("default", ["inception", "vgg16"])
def test_without_a_network_the_message_says_what_to_put_where(checkpoints, monkeypatch, default):
    def offline(*_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError) as caught:
        open_detector(None, default, CPU)
    url = URLS[default]
    path = checkpoints / url.rpartition("/")[2]
    assert f"Save {url} as {path}, or name a detector with --detector" in str(caught.value)
    assert "no route to host" in str(caught.value)
    assert not list(checkpoints.iterdir())


@pytest.fixture
def offered(tmp_path, monkeypatch) -> Path:
    """A detector at the address of the default one, named after its SHA-256."""
    network = detector_file(tmp_path / "net.pt", Means())
    digest = hashlib.sha256(network.read_bytes()).hexdigest()[:8]
    network = network.rename(tmp_path / f"net-{digest}.pt")
    monkeypatch.setitem(URLS, "inception", network.as_uri())
    return network


def test_the_default_is_fetched_once(checkpoints, offered):
    assert open_detector(None, "inception", CPU).name == offered.name
    offered.unlink()
    features, _ = open_detector(None, "inception", CPU).embed(noise())
    torch.testing.assert_close(features, noise().float().mean((2, 3)))


def test_what_arrives_damaged_is_not_kept(checkpoints, offered):
    offered.write_bytes(offered.read_bytes()[:-1])
    with pytest.raises(UserError, match="Cannot download the inception .* .invalid hash value"):
        open_detector(None, "inception", CPU)
    assert not list(checkpoints.iterdir()), "nothing half-written remains"


@pytest.fixture(scope="module")
def inception(tmp_path_factory) -> Path:
    """Weights of torch-fidelity's Inception network, by chance."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with (
        mock.patch.object(torch, "load"),
        mock.patch.object(module.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        network = module.FeatureExtractorInceptionV3("test", ["2048"], "weights")
    path: Path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(network.state_dict(), path)
    return path


def test_inception_shows_the_layer_of_fid_and_the_unbiased_classes(inception, monkeypatch):
    from torch_fidelity import feature_extractor_inceptionv3 as module

    sides = []

    def resized(images: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
        sides.append(size)
        return nn.functional.interpolate(images, (75, 75))

    monkeypatch.setattr(module, "interpolate_bilinear_2d_like_tensorflow1x", resized)
    network = open_detector(inception, "inception", CPU)
    assert network.name == "weights.pth"
    features, logits = network.embed(noise(2))
    assert features.shape == (2, 2048)
    weight = torch.load(inception)["fc.weight"]
    assert logits is not None
    torch.testing.assert_close(logits, features @ weight.T)
    network.embed(noise(1), 75)
    network.embed(noise(1))
    assert sides == [(299, 299), (75, 75), (299, 299)]


def test_inception_without_torch_fidelity_says_what_to_install(inception, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    assert "pip install torch-fidelity" in refusal(inception)


def test_weights_of_half_an_inception_are_those_of_another_network(inception, tmp_path):
    weights = torch.load(inception)
    del weights["fc.bias"]
    torch.save(weights, tmp_path / "net.pt")
    assert "its weights are those of another network" in refusal(tmp_path / "net.pt")


class LogProbabilities(torch.nn.Module):
    def __init__(self, other: float) -> None:
        super().__init__()
        self.other = other

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = images.float().mean((2, 3))
        logits = torch.zeros_like(features[:, :2])
        logits[:, 1] = self.other
        return features, logits


def test_log_probabilities_of_0_are_finite(tmp_path):
    _, logits = opened(tmp_path, LogProbabilities(float("-inf"))).embed(noise())
    assert logits is not None and logits.isfinite().all()
    torch.testing.assert_close(logits.softmax(1)[:, 0], torch.ones(len(logits)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_named(tmp_path, value):
    with pytest.raises(UserError, match="returned NaN or infinite logits"):
        opened(tmp_path, LogProbabilities(value)).embed(noise())
