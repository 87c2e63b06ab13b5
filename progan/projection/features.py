"""Features: maps that stand for what is seen in an image, with gradients."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metrics.detector import load_vgg16
from progan import networks
from progan.config import Network
from progan.networks import Discriminator
from progan.run_directory import CONFIG_FILE
from progan.runtime.weights_file import is_weights_file
from progan.sampling.snapshot_file import Snapshot
from progan.sizes import MIN_LEVEL
from progan.training.init_from import InitSource, find_init_source, load_init_source

Features = Callable[[Tensor], list[Tensor]]  # [N, C, H, W] in [-1, 1] -> maps [N, F, h, w]

EPSILON = 1e-6  # of the length of features


def feature_distance(maps: list[Tensor], others: list[Tensor]) -> Tensor:
    """How different features are, 0 to 4: [N], against those of one image.

    At each place the features have length 1, and all maps count alike, whatever their size, as in
    LPIPS (Zhang et al. 2018) without its learned weights.
    """
    layers = [
        (F.normalize(one, dim=1, eps=EPSILON) - F.normalize(other, dim=1, eps=EPSILON))
        .square()
        .sum(1)
        .mean((1, 2))
        for one, other in zip(maps, others, strict=True)
    ]
    return torch.stack(layers).mean(0)


def vgg16_features(path: Path, device: torch.device) -> Features:
    """Of torchvision's weights of VGG-16 in a file; raises UserError for another one."""
    network = load_vgg16(path, device)

    def features(images: Tensor) -> list[Tensor]:
        embedding, _ = network(127.5 * (_rgb(images) + 1), None)
        return [embedding[:, :, None, None]]

    return features


def discriminator_features(discriminator: Discriminator, snapshot: Snapshot) -> Features:
    """What each level of a discriminator makes of an image, where these are maps.

    It has learned what matters in just such images (Larsen et al. 2016).
    """
    device = next(snapshot.generator.parameters()).device
    alpha = None if snapshot.alpha == 1 else torch.tensor(snapshot.alpha, device=device)
    discriminator.requires_grad_(False).eval().to(device)
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4:
            found.append(output)

    for level in range(MIN_LEVEL, snapshot.level + 1):
        for layer in discriminator.image_layers(level):
            layer.register_forward_hook(keep)

    def features(images: Tensor) -> list[Tensor]:
        found.clear()
        discriminator(images, snapshot.level, alpha)
        return list(found)

    return features


def find_discriminator(path: Path, network: Network) -> tuple[Discriminator, Path] | None:
    """The discriminator that a generator was trained with, and its file, if it can be found.

    Other programs keep both in one file; of ours, the newest state of the run has it. None also if
    it only judges images together, by batch normalisation.
    """
    if network.d_norm == "batch":
        return None
    origin = _origin(path)
    if origin is None or "discriminator" not in origin.weights or origin.network != network:
        return None
    discriminator = networks.build_discriminator(network)
    discriminator.load_state_dict(dict(origin.weights["discriminator"]))
    return discriminator, origin.path


def _origin(path: Path) -> InitSource | None:
    if not is_weights_file(path):
        return load_init_source(path)
    at_home = (path.parent / CONFIG_FILE).is_file()
    return load_init_source(find_init_source(path.parent)) if at_home else None


def _rgb(images: Tensor) -> Tensor:
    """[N, 1, 3 or 4, H, W] -> [N, 3, H, W]; transparency lies on white."""
    if images.shape[1] == 4:
        opacity = (images[:, 3:] + 1) / 2
        images = images[:, :3] * opacity + 1 - opacity
    return images.expand(-1, 3, -1, -1)
