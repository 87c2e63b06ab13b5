"""Inputs of a training step: level, reals, latents and all other random numbers."""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.augment import AugmentNoise, draw_augment_noise
from progan.config import Run
from progan.data.loader import Batch
from progan.images import to_float
from progan.losses import LOSSES, LossNoise, draw_loss_noise
from progan.losses.adversarial import get_penalty_interval
from progan.ops import blend_with_half_resolution, make_alpha
from progan.runtime.seeding import torch_generator as stream
from progan.schedule import Stage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LevelAlpha:
    """Level and fade weight of a step, as both networks take them."""

    level: int
    alpha: Tensor | None  # 0-d on the device, so that its change recompiles nothing

    @classmethod
    def of(cls, stage: Stage, device: torch.device) -> "LevelAlpha":
        return cls(stage.level, make_alpha(stage.alpha, device))


class AugmentNoisePair(NamedTuple):
    """Random numbers of the augmentation of a batch."""

    reals: AugmentNoise
    fakes: AugmentNoise


class DiscriminatorInputs(NamedTuple):
    """Inputs of a discriminator step, with all its random numbers."""

    reals: Tensor  # [N, C, H, W] in [-1, 1]
    labels: Tensor  # [N, label_size]
    latents: Tensor  # [N, latent_size]
    loss_noise: LossNoise
    augment_noise: AugmentNoisePair | None = None
    with_penalty: bool = True
    part: tuple[int, ...] = ()  # indices of this part of the batch, for random streams of layers


class GeneratorInputs(NamedTuple):
    """Inputs of a generator step, with all its random numbers."""

    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]
    reals: Tensor | None = None  # [N, C, H, W], for paired losses
    augment_noise: AugmentNoisePair | None = None
    part: tuple[int, ...] = ()  # as above


def discriminator_inputs(
    run: Run, batch: Batch, position: LevelAlpha, images_seen: int
) -> DiscriminatorInputs:
    """Prepare the reals and generate the random numbers of the discriminator step at `images_seen`.

    They are drawn for the whole batch, whatever part of it this process has.
    """
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "critic", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    shape = batch.images.permute(0, 3, 1, 2).shape[1:]
    loss_noise = draw_loss_noise(run.loss, torch.Size((n, *shape)), random)
    mirror = _draw_mirror_mask(run, n, random)
    latents, loss_noise, mirror, augment_noise = _select_own_rows(
        batch, (latents, loss_noise, mirror, _draw_augment_noise(run, n, random))
    )
    reals = preprocess_reals(batch.images, mirror=mirror, alpha=position.alpha)
    due, part = is_penalty_step(run, n, images_seen), _part_indices(batch)
    return DiscriminatorInputs(reals, batch.labels, latents, loss_noise, augment_noise, due, part)


def is_penalty_step(run: Run, batch: int, images_seen: int) -> bool:
    """True if the discriminator step of `batch` images at `images_seen` is one in k with a penalty.

    True for all steps of objectives without one, so that these have one kind of steps only.
    """
    return images_seen // batch % get_penalty_interval(run.loss) == 0


def generator_inputs(
    run: Run, batch: Batch, position: LevelAlpha, images_seen: int
) -> GeneratorInputs:
    """Generate the random numbers of a generator step, and reals for paired losses."""
    n, device = batch.whole_size, batch.images.device
    random = stream(device, run.seed, "generator", images_seen)
    latents = torch.randn(n, run.network.latent_size, generator=random, device=device)
    paired = LOSSES[run.loss.objective].paired
    mirror = _draw_mirror_mask(run, n, random) if paired else None
    latents, mirror, augment_noise = _select_own_rows(
        batch, (latents, mirror, _draw_augment_noise(run, n, random))
    )
    reals = preprocess_reals(batch.images, mirror=mirror, alpha=position.alpha) if paired else None
    return GeneratorInputs(latents, batch.drawn_labels, reals, augment_noise, _part_indices(batch))


def _select_own_rows(batch: Batch, drawn: T) -> T:
    """Select the rows of the images that this process has."""
    if batch.rows is None:
        return drawn
    own: T = tree_map_only(Tensor, lambda tensor: tensor[batch.rows], drawn)
    return own


def _part_indices(batch: Batch) -> tuple[int, ...]:
    return (batch.shard.number,) if batch.shard.num_shards > 1 else ()


def _draw_mirror_mask(run: Run, n: int, random: torch.Generator) -> Tensor | None:
    return torch.rand(n, generator=random, device=random.device) < 0.5 if run.data.mirror else None


def _draw_augment_noise(run: Run, n: int, random: torch.Generator) -> AugmentNoisePair | None:
    if run.augment.augment == "none":
        return None
    reals = draw_augment_noise(run.augment, n, random)
    return AugmentNoisePair(reals, draw_augment_noise(run.augment, n, random))


def preprocess_reals(
    images: Tensor, *, mirror: Tensor | None = None, alpha: Tensor | None = None
) -> Tensor:
    """Convert uint8 [N, H, W, C] to float32 [N, C, H, W] in [-1, 1] for the discriminator.

    Args:
        mirror: bool [N], True for images to flip left to right.
        alpha: 0-d; while a level is faded in, reals are blended with their own
            2x-down-2x-up version, so that they sharpen as the networks do.
    """
    x = to_float(images.permute(0, 3, 1, 2))
    if mirror is not None:
        x = x.where(~mirror.reshape(-1, 1, 1, 1), x.flip(3))
    return x if alpha is None else blend_with_half_resolution(x, alpha)
