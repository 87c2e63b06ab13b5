"""Paths through the latent space: smoothed random walks, and slerp tours of given latents.

All of them loop: after the last frame comes the first one.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.errors import UserError
from progan.runtime.text import format_count
from progan.sampling.latents import LatentBatch, seed_labels
from progan.sampling.options import VideoTiming
from progan.sampling.snapshot_file import Snapshot

Floats = npt.NDArray[np.float64]
# The paper: "Gaussian (sigma = 45 frames @ 60 Hz)".
SMOOTHING_SECONDS = 0.75
MIN_SIGMAS = 6  # standard deviations that a film has room for; in fewer hardly anything moves
MAX_IMAGES = 500_000  # latents of 512 numbers: 1 GiB
MAX_SMOOTHING = 60  # s; whoever wants more wants a still


def random_walk(seed: int, frames: int, latent_size: int, sigma: float) -> Floats:
    """A random walk that loops: [frames, latent_size].

    Independent normal latents, one for each frame, are blurred in time by a Gaussian that wraps
    around, and divided by their root mean square, as `generate_interpolation_video` of the
    official code does it. (The paper puts each latent on the hypersphere, which the pixel norm of
    the networks does to all they are given.)

    Args:
        sigma: Standard deviation of the Gaussian, in frames.
    """
    from scipy.ndimage import gaussian_filter1d  # pictures need not wait for it

    noise = np.random.RandomState(seed).randn(frames, latent_size)
    latents: Floats = gaussian_filter1d(noise, sigma, axis=0, mode="wrap")
    latents /= np.sqrt(np.mean(np.square(latents)))
    return latents


def default_smoothing(seconds: float) -> float:
    """Standard deviation of the Gaussian, in seconds, for a film of that length.

    That of the paper, but for films that are too short for it.
    """
    return min(SMOOTHING_SECONDS, seconds / MIN_SIGMAS)


def slerp(first: Floats, second: Floats, share: float) -> Floats:
    """Spherical interpolation between two latents [latent_size] (Shoemake 1985).

    The direction turns evenly from the first to the second one, and the length grows evenly, so
    that nothing in between is less likely than the ends. Where the directions are equal or
    opposite there is no one way round, and it goes straight.

    Args:
        share: 0: the first, 1: the second.
    """
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    length = lengths[0] + share * (lengths[1] - lengths[0])
    if not min(lengths):
        return first + share * (second - first)
    a, b = first / lengths[0], second / lengths[1]
    angle = np.arccos(np.clip(a @ b, -1, 1))
    if np.sin(angle) < 1e-6:
        return first + share * (second - first)
    latent: Floats = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    latent *= length / np.sin(angle)
    return latent


def tour_positions(frames: int, count: int) -> list[tuple[int, int, float]]:
    """Where each frame is on the way round `count` stops: (stop, the next one, share of it).

    Frame 0 is at stop 0, and the way from the last stop leads back there.
    """
    ways = (divmod(frame * count, frames) for frame in range(frames))
    return [(stop, (stop + 1) % count, rest / frames) for stop, rest in ways]


def slerp_tour(latents: Floats, frames: int) -> Floats:
    """By slerp from each latent [K, latent_size] to the next and back: [frames, latent_size]."""
    return np.stack(
        [
            slerp(latents[one], latents[other], share)
            for one, other, share in tour_positions(frames, len(latents))
        ]
    )


def blend_labels(labels: Floats, frames: int) -> Floats:
    """Labels [K, label_size] on the same way, blended: [frames, label_size]."""
    return np.stack(
        [
            (1 - share) * labels[one] + share * labels[other]
            for one, other, share in tour_positions(frames, len(labels))
        ]
    )


@dataclass(frozen=True, slots=True)
class LatentPath:
    """What every cell shows in every frame."""

    latents: Tensor  # [frames, cells, latent_size]
    labels: Tensor  # [frames, cells, label_size]


def random_walk_path(
    snapshot: Snapshot, first: int, cells: int, timing: VideoTiming, smoothing: float
) -> LatentPath:
    """Cell k shows the walk of seed first + k, and the class that this seed has.

    Args:
        smoothing: Standard deviation of the blur in time, in seconds.
    """
    _require_few(timing, cells)
    if not 0 < smoothing <= MAX_SMOOTHING:
        raise UserError(
            f"--smoothing {smoothing:g}: name a number of seconds above 0, up to {MAX_SMOOTHING}."
        )
    if first + cells > 2**32:
        raise UserError(
            f"--walk {first}: the seeds of walks end at {2**32 - 1}, and each cell has "
            f"the next one. Name {2**32 - cells} or less."
        )
    config = snapshot.generator.config
    seeds = range(first, first + cells)
    latents = [
        random_walk(seed, timing.frames, config.latent_size, smoothing * timing.fps)
        for seed in seeds
    ]
    labels = seed_labels(seeds, config.label_size, snapshot.untrained_classes)
    return LatentPath(_stacked(latents), labels.expand(timing.frames, -1, -1))


def seed_tour_path(latent_batch: LatentBatch, cells: int, timing: VideoTiming) -> LatentPath:
    """By slerp through the pictures of a wish and back to the first; cell k begins with the kth.

    Where they have other classes, these are blended.
    """
    _require_few(timing, cells)
    if len(latent_batch.names) < 2:
        raise UserError("A film through given pictures needs two or more, e.g. --seeds 3,14,15.")
    beginnings = [-(cell % len(latent_batch.names)) for cell in range(cells)]
    latents, labels = latent_batch.latents.double().numpy(), latent_batch.labels.double().numpy()
    return LatentPath(
        _stacked([slerp_tour(np.roll(latents, start, 0), timing.frames) for start in beginnings]),
        _stacked([blend_labels(np.roll(labels, start, 0), timing.frames) for start in beginnings]),
    )


def _stacked(cells: list[Floats]) -> Tensor:
    """[frames, size] of each cell -> float32 [frames, cells, size]."""
    return torch.from_numpy(np.stack(cells, axis=1).astype(np.float32))


def _require_few(timing: VideoTiming, cells: int) -> None:
    if timing.frames * cells > MAX_IMAGES:
        raise UserError(
            f"{format_count(timing.frames, 'frame')} of "
            f"{format_count(cells, 'cell')} are more than {MAX_IMAGES:,} "
            "pictures. Ask for a shorter film or a smaller --grid."
        )
