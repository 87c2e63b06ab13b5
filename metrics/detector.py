"""Detectors: networks whose features are compared instead of pixels.

A detector comes from a file: the weights of the Inception network of FID, those of torchvision's
VGG-16, our classifier of digits, or any TorchScript network of images uint8 [N, 3, H, W]. It
returns features [N, D], or a tuple of features and logits of classes [N, K]; for one that takes
the arguments of NVIDIA's (`return_features`, `no_output_bias`), they are used.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metrics.discrete_modes import SIDES, load_classifier
from progan.errors import UserError
from progan.images import to_float
from progan.runtime.files import hash_file_sha256
from progan.runtime.text import format_count
from progan.runtime.weights_file import is_weights_file
from progan.runtime.zip_files import are_members_of_torchscript, list_zip_members

URLS = {  # default weights; the file names end in a SHA-256
    "inception": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
}
INCEPTION_KEY = "Mixed_7c.branch1x1.conv.weight"
OTHERS, UNREADABLE = "its weights are those of another network", "it cannot be read as weights"
AT_ONCE = 32  # images
FID_EXTRA = "This metric needs torch-fidelity. Install it: pip install torch-fidelity."
Embedding = tuple[Tensor, Tensor | None]  # features [N, D], logits [N, K] or None


@dataclass(frozen=True, slots=True)
class Detector:
    """A feature extractor.

    Attributes:
        name: For messages.
        fingerprint: Hash of its file.
        network: (images uint8 [N, 3, H, W], side) -> features and logits. With a side in px
            instead of None, images are resized to it first.
    """

    name: str
    fingerprint: str
    network: Callable[[Tensor, int | None], Embedding]

    def embed(self, images: Tensor, side: int | None = None) -> Embedding:
        """Embed images uint8 [N, C, H, W] -> features [N, D], logits [N, K]: float32, on the CPU.

        Grey is repeated, and alpha is blended with white. Raises UserError for features or
        logits that are not finite.
        """
        with torch.no_grad():
            found = [self.network(some, side) for some in to_rgb(images).split(AT_ONCE)]
        features = torch.cat([part.flatten(1).float().cpu() for part, _ in found])
        if not features.isfinite().all():
            raise UserError(
                f"The detector {self.name} returned NaN or infinite features. Name another one."
            )
        parts = [part.float().cpu() for _, part in found if part is not None]
        if not parts:
            return features, None
        # Log-probabilities of 0 are -inf, whose product with a probability of 0 would be NaN.
        logits = torch.cat(parts).clamp(min=torch.finfo(torch.float32).min)
        if not logits.isfinite().all():
            raise UserError(
                f"The detector {self.name} returned NaN or infinite logits. Name another one."
            )
        return features, logits


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricContext:
    """Everything besides the images that a result depends on.

    Attributes:
        seed: All random numbers derive from it.
        detector: None where no metric needs one.
    """

    seed: int
    device: torch.device
    detector: Detector | None = None


def to_rgb(images: Tensor) -> Tensor:
    """Convert images uint8 [N, 1, 3 or 4, H, W] -> uint8 [N, 3, H, W]."""
    if images.shape[1] == 4:
        opacity = images[:, 3:].float() / 255
        images = (images[:, :3] * opacity + 255 * (1 - opacity)).round().to(torch.uint8)
    return images.expand(-1, 3, -1, -1)


def pixel_detector() -> Detector:
    """Return a detector whose features are the pixels themselves, 0…1."""
    return Detector(
        "pixels",
        "pixels",
        lambda images, side: (_convert_to_float_and_resize(images, side).flatten(1) / 255, None),
    )


def open_detector(file: Path | None, default: str, device: torch.device) -> Detector:
    """Open a detector, by default the downloaded one of URLS[default].

    Raises UserError if the file is not a detector, or if the download fails.
    """
    path = file or download_weights_if_missing(default)
    if not path.is_file():
        raise UserError(f"No such file: {path}. Name the weights of a detector.")
    fingerprint = hash_file_sha256(path)[:16]
    if are_members_of_torchscript(list_zip_members(path)):
        return Detector(path.name, fingerprint, _open_torchscript(path, device))
    if is_weights_file(path):
        return Detector(path.name, fingerprint, _open_digits(path, device))
    weights = _read_weights(path)
    if INCEPTION_KEY in weights:
        return Detector(path.name, fingerprint, _open_inception(path, device))
    if has_vgg16_convolutions(weights):
        return Detector(path.name, fingerprint, build_vgg16(weights, device))
    raise _not_a_detector(path, OTHERS)


def load_vgg16(path: Path, device: torch.device) -> Callable[[Tensor, int | None], Embedding]:
    """Load torchvision's VGG-16 as a differentiable network of images float32 [N, 3, H, W], 0…255.

    Raises UserError for another file.
    """
    if not path.is_file():
        raise UserError(f"No such file: {path}. Name the weights of VGG-16.")
    weights = {} if is_weights_file(path) else _read_weights(path)
    if not has_vgg16_convolutions(weights):
        raise UserError(
            f"{path} does not hold torchvision's weights of VGG-16. Download them from "
            f"{URLS['vgg16']}."
        )
    return build_vgg16(weights, device)


def default_weights_name(default: str) -> str:
    """Return the file name of a default detector's weights."""
    return URLS[default].rpartition("/")[2]


def download_weights_if_missing(default: str) -> Path:
    """Return the weights file of a default detector, downloaded if it is missing."""
    url = URLS[default]
    path = Path(torch.hub.get_dir()) / "checkpoints" / default_weights_name(default)
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), path.stem.rpartition("-")[2])
        except (OSError, RuntimeError, HTTPException) as error:
            raise UserError(
                f"Cannot download the {default} detector ({error}). Save {url} as "
                f"{path}, or name a detector with --detector FILE."
            ) from error
    return path


def _open_torchscript(
    path: Path, device: torch.device
) -> Callable[[Tensor, int | None], Embedding]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated
            network: Any = torch.jit.load(str(path), device).eval()
        arguments = {argument.name for argument in network.forward.schema.arguments}
    except (RuntimeError, AttributeError) as error:  # damaged, or without a forward
        raise _not_a_detector(path, "it cannot be read as TorchScript") from error

    def embed(images: Tensor, side: int | None) -> Embedding:
        images = (
            images
            if side is None
            else _convert_to_float_and_resize(images, side).round().to(torch.uint8)
        )
        try:
            found = _call_network(network, arguments, images)
        except (RuntimeError, torch.jit.Error) as error:
            lines = str(error).strip().splitlines()
            raise UserError(
                f"The detector {path} cannot take images uint8 {list(images.shape)}: "
                f"{lines[-1] if lines else error}"
            ) from error
        return _require_embedding(path, found, len(images))

    return embed


def _call_network(network: Any, arguments: set[str], images: Tensor) -> Any:
    """Call a TorchScript network for features, and for logits if its signature offers them."""
    if "return_features" not in arguments:
        return network(images)
    features = network(images, return_features=True)
    if "no_output_bias" not in arguments:
        return features
    probabilities = network(images, no_output_bias=True)
    return features, probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()


def _require_embedding(path: Path, found: Any, count: int) -> Embedding:
    """Return what a network returned for `count` images; UserError unless it is an embedding."""
    features, *others = found if isinstance(found, tuple) and found else (found,)
    if not _is_feature_table(features, count):
        images = format_count(count, "image")
        raise _not_a_detector(
            path, f"it returned {_format_shape_or_type(features)} for {images}, not [N, features]"
        )
    logits = others[0] if others else None
    is_table = isinstance(logits, Tensor) and logits.dim() == 2 and len(logits) == count
    if len(others) > 1 or not (logits is None or is_table):
        raise _not_a_detector(
            path,
            f"it returned {format_count(len(found), 'value')}, the second "
            f"{_format_shape_or_type(logits)}, not features and logits [N, classes]",
        )
    return features, logits


def _is_feature_table(features: Any, count: int) -> bool:
    """True for a tensor [count, D] or [count, D, 1, 1], as pooling leaves it."""
    return (
        isinstance(features, Tensor)
        and features.dim() >= 2
        and len(features) == count
        and features[0].numel() == features.shape[1]
    )


def _format_shape_or_type(found: Any) -> str:
    return str(list(found.shape)) if isinstance(found, Tensor) else f"a {type(found).__name__}"


def _open_inception(path: Path, device: torch.device) -> Callable[[Tensor, int | None], Embedding]:
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise UserError(FID_EXTRA) from error
    try:
        network = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        )
    except RuntimeError as error:  # torchvision's Inception has the same layer names
        raise _not_a_detector(path, OTHERS) from error
    network.to(device)
    native = network.INPUT_IMAGE_SIZE

    def embed(images: Tensor, side: int | None) -> Embedding:
        network.INPUT_IMAGE_SIZE = side or native
        features, logits = network(images)
        return features, logits

    return embed


def _open_digits(path: Path, device: torch.device) -> Callable[[Tensor, int | None], Embedding]:
    """Open a digit classifier, applied to each channel: joint features, logits of 1000 classes."""
    classifier, _ = load_classifier(path, device)

    def embed(images: Tensor, _: int | None) -> Embedding:
        fits = images.shape[2] == images.shape[3] and images.shape[3] in SIDES
        images = _convert_to_float_and_resize(images, None if fits else max(SIDES))
        count, _, height, width = images.shape
        features = classifier.features(to_float(images).reshape(-1, 1, height, width))
        red, green, blue = classifier.linear(features).view(count, 3, -1).log_softmax(2).unbind(1)
        joined = red[:, :, None, None] + green[:, None, :, None] + blue[:, None, None, :]
        return features.view(count, -1), joined.flatten(1)

    return embed


def _read_weights(path: Path) -> dict[str, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pickles that torch did not write
            # weights_only: a pickle can run code.
            weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a text read as a pickle can raise any
        raise _not_a_detector(path, UNREADABLE) from error
    return weights if isinstance(weights, dict) else {}


def _not_a_detector(path: Path, reason: str) -> UserError:
    return UserError(
        f"{path} is not a detector: {reason}. Name the weights of torch-fidelity's Inception, of "
        "torchvision's VGG-16 or of a digit classifier, or a TorchScript network of images uint8 "
        "[N, 3, H, W] that returns features [N, D]."
    )


def _convert_to_float_and_resize(images: Tensor, side: int | None) -> Tensor:
    images = images.float()
    if side is None:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


VGG16_SIDE = 224  # px
VGG16_MEAN, VGG16_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, 0…1
VGG16_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))  # numbers of layers
VGG16_GRID = 14  # px, side of the last block
VGG16_CHANNELS = (64, 128, 256, 512, 512)  # by block


def has_vgg16_convolutions(weights: Mapping[str, Any]) -> bool:
    """True if weights have all convolutions of VGG-16, by name and shape; others are ignored."""
    return all(
        isinstance(weights.get(name), Tensor) and weights[name].shape == shape
        for name, shape in _list_vgg16_shapes().items()
    )


def build_vgg16(
    weights: Mapping[str, Tensor], device: torch.device
) -> Callable[[Tensor, int | None], tuple[Tensor, None]]:
    """Build the network (uint8 [N, 3, H, W], side) -> [N, 288512] from torchvision's weights.

    Every layer is averaged down to the 14x14 of the last one, which makes comparing affordable,
    and scaled to length 1 / sqrt(5), so that no layer outweighs the others.
    """
    parameters = {name: weights[name].to(device) for name in _list_vgg16_shapes()}

    def embed(images: Tensor, side: int | None) -> tuple[Tensor, None]:
        size = (side or VGG16_SIDE,) * 2
        x = F.interpolate(images.float() / 255, size, mode="bilinear", antialias=True)
        mean, deviation = (
            torch.tensor(values, device=device).reshape(-1, 1, 1)
            for values in (VGG16_MEAN, VGG16_DEVIATION)
        )
        x = (x - mean) / deviation
        found = []
        for number, block in enumerate(VGG16_BLOCKS):
            x = F.max_pool2d(x, 2) if number else x
            for layer in block:
                weight, bias = (parameters[f"features.{layer}.{n}"] for n in ("weight", "bias"))
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
                if layer == block[1]:
                    pooled = F.adaptive_avg_pool2d(x, VGG16_GRID).flatten(1)
                    found.append(F.normalize(pooled) / len(VGG16_BLOCKS) ** 0.5)
        return torch.cat(found, 1), None

    return embed


def _list_vgg16_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the convolutions' tensors by torchvision's names."""
    shapes: dict[str, tuple[int, ...]] = {}
    incoming = 3
    for channels, block in zip(VGG16_CHANNELS, VGG16_BLOCKS, strict=True):
        for layer in block:
            shapes[f"features.{layer}.weight"] = (channels, incoming, 3, 3)
            shapes[f"features.{layer}.bias"] = (channels,)
            incoming = channels
    return shapes
