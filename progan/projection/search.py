"""The search for a latent: the best of many seeds, and from there downhill."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from progan.projection.features import Features, feature_distance
from progan.sampling.latents import labels_of_class, seed_labels, seed_latents
from progan.sampling.network_file import Snapshot
from progan.sampling.render import batch_size

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
