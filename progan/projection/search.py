"""Search the latent of an image: the best of many seeds, then gradient descent on a distance."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from metrics.detector import load_vgg16
from progan import networks
from progan.config import Network
from progan.networks import Discriminator
from progan.run_directory import CONFIG_FILE
from progan.runtime.weights_file import is_weights_file
from progan.sampling.latents import labels_of_class, seed_labels, seed_latents
from progan.sampling.render import batch_size
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


FEATURE_WEIGHT = 1.0  # of their difference, beside the mean square of pixels in [-1, 1]
LEARNING_RATE = 0.3  # of Adam; latents have numbers of about 1
WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the steps, as in StyleGAN2's projector

Distance = Callable[[Tensor], Tensor]  # images [N, C, H, W] -> [N]


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchBudget:
    """How much to compute: starts + about 3 * steps * kept pictures, and as often the features."""

    starts: int = 256  # seeds that are looked at
    kept: int = 4  # of these, the best ones go downhill
    steps: int = 200


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The way to a latent; its last row is the best one."""

    latents: Tensor  # [steps + 1, latent_size]
    label: Tensor  # [label_size]


def make_distance(target: Tensor, features: Features | None) -> Distance:
    """How far images are from a target [1, C, H, W]: mean square of the pixels, and features."""
    wanted = [] if features is None else [each.detach() for each in features(target)]

    def distance(images: Tensor) -> Tensor:
        pixels = (images - target).square().mean((1, 2, 3))
        if features is None:
            return pixels
        return pixels + FEATURE_WEIGHT * feature_distance(features(images), wanted)

    return distance


def search_latent(
    snapshot: Snapshot, distance: Distance, effort: SearchBudget, class_name: str | None
) -> SearchPath:
    """Find the latent whose picture is nearest.

    Without a class, each start has that of its seed, and keeps it.
    """
    starts, labels = _best_seeds(snapshot, distance, effort, class_name)
    latents, way = starts.clone().requires_grad_(), [starts]
    optimizer = torch.optim.Adam([latents], lr=LEARNING_RATE)
    for step in tqdm(range(effort.steps), unit="step", desc="nearing", disable=None, leave=False):
        optimizer.param_groups[0]["lr"] = learning_rate_at(step / effort.steps)
        latents.grad = _gradients(snapshot, distance, latents, labels)
        optimizer.step()
        with torch.no_grad():
            way.append(latents.copy_(normalize_latents(latents)).clone())
    best = int(_distances(snapshot, distance, way[-1], labels).argmin())
    return SearchPath(torch.stack(way)[:, best].detach(), labels[best])


def normalize_latents(latents: Tensor) -> Tensor:
    """[N, size], all of the length √size, as nearly all normal latents are.

    Pixel norm brings latents there anyhow; networks without it would else be led to where they
    have never been trained.
    """
    directions: Tensor = F.normalize(latents)
    return directions * math.sqrt(latents.shape[1])


def learning_rate_at(share: float) -> float:
    """The rate when a share of the steps is done: up evenly, and down like a cosine."""
    down = min(1, (1 - share) / COOL_DOWN)
    return (
        LEARNING_RATE
        * min(1, (share + 0.1 * WARM_UP) / WARM_UP)
        * (0.5 - 0.5 * math.cos(math.pi * down))
    )


def _best_seeds(
    snapshot: Snapshot, distance: Distance, effort: SearchBudget, class_name: str | None
) -> tuple[Tensor, Tensor]:
    """The best of the first seeds: latents and labels [kept, …]."""
    config = snapshot.generator.config
    device = next(snapshot.generator.parameters()).device
    seeds = range(effort.starts)
    latents = normalize_latents(seed_latents(seeds, config.latent_size)).to(device)
    labels = seed_labels(seeds, config.label_size, snapshot.untrained_classes).to(device)
    if class_name is not None:
        labels = labels_of_class(snapshot, labels, class_name)
    order = _distances(snapshot, distance, latents, labels).argsort()[: effort.kept]
    return latents[order], labels[order]


def _distances(snapshot: Snapshot, distance: Distance, latents: Tensor, labels: Tensor) -> Tensor:
    """[N]."""
    found = []
    bar = tqdm(total=len(latents), unit="img", desc="looking", disable=None, leave=False)
    with torch.no_grad(), bar:
        for z, c in _batches(snapshot, latents, labels):
            found.append(distance(_render(snapshot, z, c)))
            bar.update(len(z))
    return torch.cat(found)


def _gradients(snapshot: Snapshot, distance: Distance, latents: Tensor, labels: Tensor) -> Tensor:
    """Of the distance of each picture, by its own latent: [N, latent_size]."""
    pieces = [
        torch.autograd.grad(distance(_render(snapshot, z, c)).sum(), z)[0]
        for z, c in _batches(snapshot, latents, labels)
    ]
    return torch.cat(pieces)


def _batches(snapshot: Snapshot, latents: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    size = batch_size(snapshot.generator.config, snapshot.level)
    return list(zip(latents.split(size), labels.split(size), strict=True))


def _render(snapshot: Snapshot, latents: Tensor, labels: Tensor) -> Tensor:
    alpha = None if snapshot.alpha == 1 else torch.tensor(snapshot.alpha, device=latents.device)
    images: Tensor = snapshot.generator(latents, labels, snapshot.level, alpha)
    return images
