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
MIN_SIGMAS = 6  # standard deviations per video; with fewer hardly anything moves
MAX_IMAGES = 500_000  # latents of 512 numbers: 1 GiB
MAX_SMOOTHING = 60  # s


def random_walk(seed: int, frames: int, latent_size: int, sigma: float) -> Floats:
    """Return latents of a random walk that loops: [frames, latent_size].

    Independent normal latents, one per frame, are blurred in time by a Gaussian that wraps around
    and divided by their root mean square, as in `generate_interpolation_video` of the official
    code. (The paper puts each latent on the hypersphere, as the networks' pixel norm does.)

    Args:
        sigma: Standard deviation of the Gaussian, in frames.
    """
    from scipy.ndimage import gaussian_filter1d  # slow import, not needed for images

    noise = np.random.RandomState(seed).randn(frames, latent_size)
    latents: Floats = gaussian_filter1d(noise, sigma, axis=0, mode="wrap")
    latents /= np.sqrt(np.mean(np.square(latents)))
    return latents


def choose_smoothing(seconds: float) -> float:
    """Return the standard deviation in seconds for a video: the paper's, or less if it is short."""
    return min(SMOOTHING_SECONDS, seconds / MIN_SIGMAS)


def slerp(first: Floats, second: Floats, share: float) -> Floats:
    """Interpolate spherically between two latents [latent_size] (Shoemake 1985).

    Direction and length change evenly, so that nothing in between is less likely than the ends.
    Equal, opposite or zero latents are interpolated linearly.

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
    """Return (stop, next stop, share of the way between) for each frame of a closed tour."""
    ways = (divmod(frame * count, frames) for frame in range(frames))
    return [(stop, (stop + 1) % count, rest / frames) for stop, rest in ways]


def slerp_tour(latents: Floats, frames: int) -> Floats:
    """Slerp from each latent [K, latent_size] to the next and back: [frames, latent_size]."""
    return np.stack(
        [
            slerp(latents[one], latents[other], share)
            for one, other, share in tour_positions(frames, len(latents))
        ]
    )


def blend_labels(labels: Floats, frames: int) -> Floats:
    """Interpolate labels [K, label_size] linearly on the same tour: [frames, label_size]."""
    return np.stack(
        [
            (1 - share) * labels[one] + share * labels[other]
            for one, other, share in tour_positions(frames, len(labels))
        ]
    )


@dataclass(frozen=True, slots=True)
class LatentPath:
    """Latents and labels of each cell in each frame of a video."""

    latents: Tensor  # [frames, cells, latent_size]
    labels: Tensor  # [frames, cells, label_size]


def random_walk_path(
    snapshot: Snapshot, first: int, cells: int, timing: VideoTiming, smoothing: float
) -> LatentPath:
    """Return random walks; cell k has the walk and the class of seed first + k.

    Args:
        smoothing: Standard deviation of the blur in time, in seconds.
    """
    _require_renderable(timing, cells)
    if not 0 < smoothing <= MAX_SMOOTHING:
        raise UserError(
            f"--smoothing {smoothing:g} must be above 0 and at most {MAX_SMOOTHING} seconds."
        )
    if first + cells > 2**32:
        raise UserError(
            f"--walk {first} is too large for {cells} cells, which count up from it. The maximum "
            f"is {2**32 - cells}."
        )
    config = snapshot.generator.config
    seeds = range(first, first + cells)
    latents = [
        random_walk(seed, timing.frames, config.latent_size, smoothing * timing.fps)
        for seed in seeds
    ]
    labels = seed_labels(seeds, config.label_size, snapshot.untrained_classes)
    return LatentPath(_stack_cells(latents), labels.expand(timing.frames, -1, -1))


def seed_tour_path(latent_batch: LatentBatch, cells: int, timing: VideoTiming) -> LatentPath:
    """Return slerp tours of given latents; cell k begins with the kth. Classes are blended."""
    _require_renderable(timing, cells)
    if len(latent_batch.names) < 2:
        raise UserError("A video of seeds or latents needs at least two, e.g. --seeds 3,14,15.")
    shifts = [-(cell % len(latent_batch.names)) for cell in range(cells)]
    latents, labels = latent_batch.latents.double().numpy(), latent_batch.labels.double().numpy()
    return LatentPath(
        _stack_cells([slerp_tour(np.roll(latents, shift, 0), timing.frames) for shift in shifts]),
        _stack_cells([blend_labels(np.roll(labels, shift, 0), timing.frames) for shift in shifts]),
    )


def _stack_cells(cells: list[Floats]) -> Tensor:
    """Stack [frames, size] of each cell: float32 [frames, cells, size]."""
    return torch.from_numpy(np.stack(cells, axis=1).astype(np.float32))


def _require_renderable(timing: VideoTiming, cells: int) -> None:
    if timing.frames * cells > MAX_IMAGES:
        raise UserError(
            f"{format_count(timing.frames, 'frame')} of {format_count(cells, 'cell')} exceed "
            f"{MAX_IMAGES:,} images. Choose a shorter video or a smaller --grid."
        )
