"""Search the latent of an image: the best of many seeds, then gradient descent on a distance.

The distance is the mean square of the difference of pixels, plus that of features, from the
discriminator of the same training or from VGG-16.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from metrics.detector import load_vgg16
from progan import networks
from progan.config import Network
from progan.networks import Discriminator
from progan.ops import make_alpha
from progan.run_directory import CONFIG_FILE, list_states
from progan.runtime.weights_file import is_weights_file
from progan.sampling.checkpoint_format import is_intact
from progan.sampling.latents import labels_of_class, seed_labels, seed_latents
from progan.sampling.render import batch_size
from progan.sampling.snapshot_file import Snapshot
from progan.sizes import MIN_LEVEL
from progan.training.init_from import InitSource, load_init_source

Features = Callable[[Tensor], list[Tensor]]  # [N, C, H, W] in [-1, 1] -> maps [N, F, h, w]
Distance = Callable[[Tensor], Tensor]  # images [N, C, H, W] -> [N]

EPSILON = 1e-6  # least length of features
FEATURE_WEIGHT = 1.0  # relative to the mean square of pixels in [-1, 1]
LEARNING_RATE = 0.3  # Adam's; latents have values of about 1
WARM_UP, COOL_DOWN = 0.05, 0.25  # shares of the steps, as in StyleGAN2's projector


def feature_distance(maps: list[Tensor], others: list[Tensor]) -> Tensor:
    """Return the squared distance of feature maps of N images, 0 to 4: [N].

    At each place the features are scaled to length 1, and all maps have equal weight whatever
    their size, as in LPIPS (Zhang et al. 2018) without its learned weights.

    Args:
        others: Maps of N images, or of one that all are compared with.
    """
    layers = [
        (F.normalize(one, dim=1, eps=EPSILON) - F.normalize(other, dim=1, eps=EPSILON)).square()
        for one, other in zip(maps, others, strict=True)
    ]
    return torch.stack([layer.sum(1).mean((1, 2)) for layer in layers]).mean(0)


def vgg16_features(path: Path, device: torch.device) -> Features:
    """Return the features of torchvision's VGG-16; raises UserError if the file has no weights."""
    network = load_vgg16(path, device)

    def features(images: Tensor) -> list[Tensor]:
        embedding, _ = network(127.5 * (_to_rgb(images) + 1), None)
        return [embedding[:, :, None, None]]

    return features


def discriminator_features(discriminator: Discriminator, snapshot: Snapshot) -> Features:
    """Return the outputs of all layers of a discriminator that are maps (Larsen et al. 2016)."""
    device = next(snapshot.generator.parameters()).device
    alpha = make_alpha(snapshot.alpha, device)
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


class FoundDiscriminator(NamedTuple):
    """A discriminator and the file that it was loaded from."""

    discriminator: Discriminator
    path: Path


def find_discriminator(path: Path, network: Network) -> FoundDiscriminator | None:
    """Load the discriminator that a generator was trained with; None if it cannot be found.

    Files of other programs contain both networks; of progan, the newest state of the run has it.
    One with batch normalisation cannot judge single images: None, too.
    """
    source = None if network.d_norm == "batch" else _load_source_or_none(path)
    if source is None or "discriminator" not in source.weights or source.network != network:
        return None
    discriminator = networks.build_discriminator(network)
    discriminator.load_state_dict(dict(source.weights["discriminator"]))
    return FoundDiscriminator(discriminator, source.path)


def _load_source_or_none(path: Path) -> InitSource | None:
    if not is_weights_file(path):
        return load_init_source(path)
    is_in_run = (path.parent / CONFIG_FILE).is_file()
    states = reversed(list_states(path.parent)) if is_in_run else ()
    state = next(filter(is_intact, states), None)
    return None if state is None else load_init_source(state)


def _to_rgb(images: Tensor) -> Tensor:
    """Convert [N, 1, 3 or 4, H, W] in [-1, 1] to [N, 3, H, W]; blend transparency with white."""
    if images.shape[1] == 4:
        opacity = (images[:, 3:] + 1) / 2
        images = images[:, :3] * opacity + 1 - opacity
    return images.expand(-1, 3, -1, -1)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchBudget:
    """Amount of computation: starts + about 3 * steps * kept images, and their features."""

    starts: int = 256  # seeds that are compared
    kept: int = 4  # the nearest of these are optimised
    steps: int = 200


@dataclass(frozen=True, slots=True)
class SearchPath:
    """Latents of each step of the search; the last row is the result."""

    latents: Tensor  # [steps + 1, latent_size]
    label: Tensor  # [label_size]


def make_distance(target: Tensor, features: Features | None) -> Distance:
    """Return the distance of images from a target [1, C, H, W], by pixels and features."""
    target_maps = [] if features is None else [each.detach() for each in features(target)]

    def distance(images: Tensor) -> Tensor:
        pixels = (images - target).square().mean((1, 2, 3))
        if features is None:
            return pixels
        return pixels + FEATURE_WEIGHT * feature_distance(features(images), target_maps)

    return distance


def search_latent(
    snapshot: Snapshot, distance: Distance, budget: SearchBudget, class_name: str | None
) -> SearchPath:
    """Find the latent whose image has the smallest distance.

    Without a class, each start keeps the class of its seed.
    """
    starts, labels = _find_nearest_seeds(snapshot, distance, budget, class_name)
    latents, path = starts.clone().requires_grad_(), [starts]
    optimizer = torch.optim.Adam([latents], lr=LEARNING_RATE)
    steps = tqdm(range(budget.steps), unit="step", desc="optimizing", disable=None, leave=False)
    for step in steps:
        optimizer.param_groups[0]["lr"] = learning_rate_at(step / budget.steps)
        latents.grad = _compute_distance_gradients(snapshot, distance, latents, labels)
        optimizer.step()
        with torch.no_grad():
            path.append(latents.copy_(normalize_latents(latents)).clone())
    best = int(_compute_distances(snapshot, distance, path[-1], labels).argmin())
    return SearchPath(torch.stack(path)[:, best].detach(), labels[best])


def normalize_latents(latents: Tensor) -> Tensor:
    """Scale latents [N, size] to length √size, which nearly all normal latents have.

    Pixel norm does that anyway; other networks would leave the latents of their training.
    """
    directions: Tensor = F.normalize(latents)
    return directions * math.sqrt(latents.shape[1])


def learning_rate_at(share: float) -> float:
    """Return the learning rate after a share of the steps: linear warm-up, cosine decay."""
    down = min(1, (1 - share) / COOL_DOWN)
    return (
        LEARNING_RATE
        * min(1, (share + 0.1 * WARM_UP) / WARM_UP)
        * (0.5 - 0.5 * math.cos(math.pi * down))
    )


def count_compared_seeds(snapshot: Snapshot, starts: int, class_name: str | None) -> int:
    """Return how many of the first seeds are compared: at least one of each trained class."""
    size = snapshot.generator.config.label_size
    classes = size - len(snapshot.untrained_classes) if size and class_name is None else 0
    return max(starts, classes)


def _find_nearest_seeds(
    snapshot: Snapshot, distance: Distance, budget: SearchBudget, class_name: str | None
) -> tuple[Tensor, Tensor]:
    """Return latents and labels [kept, …] of the nearest of the first seeds."""
    config = snapshot.generator.config
    device = next(snapshot.generator.parameters()).device
    seeds = range(count_compared_seeds(snapshot, budget.starts, class_name))
    latents = normalize_latents(seed_latents(seeds, config.latent_size)).to(device)
    labels = seed_labels(seeds, config.label_size, snapshot.untrained_classes).to(device)
    if class_name is not None:
        labels = labels_of_class(snapshot, labels, class_name)
    order = _compute_distances(snapshot, distance, latents, labels).argsort()[: budget.kept]
    return latents[order], labels[order]


def _compute_distances(
    snapshot: Snapshot, distance: Distance, latents: Tensor, labels: Tensor
) -> Tensor:
    """Return the distance of the image of each latent: [N]."""
    found = []
    bar = tqdm(total=len(latents), unit="img", desc="comparing", disable=None, leave=False)
    with torch.no_grad(), bar:
        for z, c in _split_into_batches(snapshot, latents, labels):
            found.append(distance(_generate_images(snapshot, z, c)))
            bar.update(len(z))
    return torch.cat(found)


def _compute_distance_gradients(
    snapshot: Snapshot, distance: Distance, latents: Tensor, labels: Tensor
) -> Tensor:
    """Return the gradient of each image's distance by its latent: [N, latent_size]."""
    pieces = [
        torch.autograd.grad(distance(_generate_images(snapshot, z, c)).sum(), z)[0]
        for z, c in _split_into_batches(snapshot, latents, labels)
    ]
    return torch.cat(pieces)


def _split_into_batches(
    snapshot: Snapshot, latents: Tensor, labels: Tensor
) -> list[tuple[Tensor, Tensor]]:
    size = batch_size(snapshot.generator.config, snapshot.level)
    return list(zip(latents.split(size), labels.split(size), strict=True))


def _generate_images(snapshot: Snapshot, latents: Tensor, labels: Tensor) -> Tensor:
    alpha = make_alpha(snapshot.alpha, latents.device)
    images: Tensor = snapshot.generator(latents, labels, snapshot.level, alpha)
    return images
