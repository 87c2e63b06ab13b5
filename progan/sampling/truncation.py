"""Latent truncation: less variety for more typical images (--trunc).

StyleGAN pulls its intermediate latents w toward their mean (Karras et al. 2019, appendix B), and
BigGAN draws latents from a truncated normal (Brock et al. 2019, section 3.1). Neither fits
progressive growing: it has no w, and its latents are normalised to a sphere, on which all
directions are equally frequent, so that there is no mean, and a truncated normal hardly changes the
directions. So the centre is the direction of the network's most typical images: the mean of those
random latents whose images are the nearest to the mean of all. Latents are moved toward it along
the sphere, by the angle times psi.
"""

from dataclasses import replace
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.sampling.interpolation import LatentPath
from progan.sampling.latents import LatentBatch, seed_latents
from progan.sampling.render import render_batches
from progan.sampling.snapshot_file import Snapshot

NUM_LATENTS = 1024  # from whose images the centre is found: those of the seeds from FIRST_SEED on
FIRST_SEED = 2**31
TYPICAL_SHARE = 0.1  # share of the latents that count as typical: the nearest to the mean
MAX_CENTRE_LEVEL = 4  # larger images are averaged to 16x16, which shows what is typical

Batch = TypeVar("Batch", LatentBatch, LatentPath)


def truncate_batch(snapshot: Snapshot, batch: Batch, psi: float) -> Batch:
    """Return a batch, or the path of a video, with the latents of `truncate_labelled`."""
    if psi == 1:
        return batch
    return replace(batch, latents=truncate_labelled(snapshot, batch.latents, batch.labels, psi))


def truncate_labelled(snapshot: Snapshot, latents: Tensor, labels: Tensor, psi: float) -> Tensor:
    """Pull latents toward the centre of their labels, [..., n] and [..., label_size]; 1: do not."""
    return latents if psi == 1 else truncate(latents, find_centres(snapshot, labels), psi)


def truncate(latents: Tensor, centres: Tensor, psi: float) -> Tensor:
    """Move latents [..., n] toward centres [..., n] or [n]: to psi times the angle between both.

    0 is the centre, 1 the latents, above 1 is away from it. Lengths are kept; latents of length 0,
    which have no direction, stay.
    """
    lengths = latents.norm(dim=-1, keepdim=True)
    directions = F.normalize(latents, dim=-1)
    cosine = (directions * centres).sum(dim=-1, keepdim=True).clamp(-1, 1)
    angle = torch.arccos(cosine)
    aside = directions - cosine * centres  # at a right angle to the centre
    aside = aside / aside.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    moved: Tensor = lengths * (torch.cos(psi * angle) * centres + torch.sin(psi * angle) * aside)
    return moved


def find_centres(snapshot: Snapshot, labels: Tensor) -> Tensor:
    """Return the centre of each label [..., label_size], of length 1: [..., n].

    Between classes, it is the direction of the weighted mean of their centres. A label of zeros,
    as all are without classes, has a centre of its own.
    """
    size = labels.shape[-1]
    mixed = labels.new_zeros(*labels.shape[:-1], snapshot.generator.config.latent_size)
    for index in range(size):
        weights = labels[..., index, None]
        if weights.any():
            one_hot = F.one_hot(torch.tensor(index), size).to(labels)
            mixed += weights * find_centre(snapshot, one_hot)
    unlabelled = ~labels.any(dim=-1, keepdim=True)
    if unlabelled.any():
        mixed = torch.where(unlabelled, find_centre(snapshot, labels.new_zeros(size)), mixed)
    return F.normalize(mixed, dim=-1)


def find_centre(snapshot: Snapshot, label: Tensor) -> Tensor:
    """Return the direction of the latents of typical images of a label [label_size]: [n].

    It depends on the network alone: the latents are those of fixed seeds.
    """
    config = snapshot.generator.config
    latents = seed_latents(range(FIRST_SEED, FIRST_SEED + NUM_LATENTS), config.latent_size)
    level, alpha = snapshot.level, snapshot.alpha
    lowest = max(MAX_CENTRE_LEVEL, snapshot.first_level)
    if config.grows and level > lowest:
        level, alpha = lowest, 1.0
    labels = label.expand(NUM_LATENTS, -1)
    side = 1 << max(level - MAX_CENTRE_LEVEL, 0)
    batches = [
        F.avg_pool2d(torch.from_numpy(pixels).permute(0, 3, 1, 2).float(), side)
        for pixels in render_batches(snapshot.generator, latents, labels, level, alpha)
    ]
    images = torch.cat(batches).permute(0, 2, 3, 1).flatten(1)  # distances add in this order
    distances = (images - images.mean(dim=0)).square().sum(dim=1)
    nearest = distances.argsort()[: round(TYPICAL_SHARE * NUM_LATENTS)]
    chosen = latents[nearest]
    return F.normalize(F.normalize(chosen, dim=1).mean(dim=0), dim=0)
