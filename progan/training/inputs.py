"""What both steps of an iteration see: reals and all random numbers, of the whole batch."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.augment import Draws
from progan.augment import draw as draw_augmentation
from progan.config import Run
from progan.data.loader import Batch, process_reals
from progan.objectives import OBJECTIVES, Chances, draw
from progan.runtime.seeding import generator as stream
from progan.schedule import Stage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the networks a step works: what both of them take beside their input."""

    level: int
    alpha: Tensor | None  # 0-d on the device, so that its change recompiles nothing

    @classmethod
    def of(cls, stage: Stage, device: torch.device) -> "Place":
        # Filled on the device: torch.tensor would copy from the CPU, which waits for a GPU.
        alpha = torch.full((), stage.alpha, device=device) if stage.fading else None
        return cls(stage.level, alpha)


class CriticInputs(NamedTuple):
    """All that a critic step sees, with all its random numbers."""

    reals: Tensor  # [N, C, H, W] in [-1, 1]
    labels: Tensor  # [N, label_size]
    latents: Tensor  # [N, latent_size]
    chances: Chances
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes
    part: tuple[int, ...] = ()  # of the batch; names the random streams of layers


class GeneratorInputs(NamedTuple):
    """All that a generator step sees, with all its random numbers."""

    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]
    reals: Tensor | None = None  # [N, C, H, W], for objectives that compare with them
    augmentation: tuple[Draws, Draws] | None = None  # of reals and of fakes
    part: tuple[int, ...] = ()  # of the batch; names the random streams of layers


def critic_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> CriticInputs:
    """Prepare the reals and draw the random numbers of the critic step at `images_seen`.

    They are drawn for the whole batch, whatever part of it this process has.
    """
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    shape = batch.images.permute(0, 3, 1, 2).shape[1:]
    chances = draw(run.objective, torch.Size((n, *shape)), random)
    mirror = _mirror(run, n, random)
    own = _own(batch, (latents, chances, mirror, _augmentation(run, n, random)))
    latents, chances, mirror, augmentation = own
    return CriticInputs(_reals(batch, place, mirror), batch.labels, latents, chances, augmentation,
                        _part(batch))


def generator_inputs(run: Run, batch: Batch, place: Place, images_seen: int) -> GeneratorInputs:
    """Draw the latents of the generator step at `images_seen`; labels are those drawn for it."""
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    paired = OBJECTIVES[run.objective.objective].paired
    mirror = _mirror(run, n, random) if paired else None
    latents, mirror, augmentation = _own(batch, (latents, mirror, _augmentation(run, n, random)))
    reals = _reals(batch, place, mirror) if paired else None
    return GeneratorInputs(latents, batch.drawn_labels, reals, augmentation, _part(batch))


def _own(batch: Batch, drawn: T) -> T:
    """Of what was drawn for the whole batch, the rows of the images that this process has."""
    if batch.rows is None:
        return drawn
    own: T = tree_map_only(Tensor, lambda tensor: tensor[batch.rows], drawn)
    return own


def _part(batch: Batch) -> tuple[int, ...]:
    return (batch.share.number,) if batch.share.of > 1 else ()


def _mirror(run: Run, n: int, random: torch.Generator) -> Tensor | None:
    return torch.rand(n, generator=random, device=random.device) < 0.5 if run.data.mirror else None


def _reals(batch: Batch, place: Place, mirror: Tensor | None) -> Tensor:
    return process_reals(batch.images, mirror=mirror, alpha=place.alpha)


def _augmentation(run: Run, n: int, random: torch.Generator) -> tuple[Draws, Draws] | None:
    if run.augment.augment == "none":
        return None
    return draw_augmentation(run.augment, n, random), draw_augmentation(run.augment, n, random)
