"""Latents that move: smoothed walks, and ways through given latents. Pure NumPy.

All of them loop: after the last frame comes the first one.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# The paper: "Gaussian (sigma = 45 frames @ 60 Hz)".
SMOOTHING_SECONDS = 0.75
SHORTEST_TURN = 6  # standard deviations that a film has room for; in fewer hardly anything moves


def walk(seed: int, frames: int, latent_size: int, sigma: float) -> Floats:
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


def smoothing_for(seconds: float) -> float:
    """Standard deviation of the Gaussian, in seconds, for a film of that length.

    That of the paper, but for films that are too short for it.
    """
    return min(SMOOTHING_SECONDS, seconds / SHORTEST_TURN)


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


def stops(frames: int, count: int) -> list[tuple[int, int, float]]:
    """Where each frame is on the way round `count` stops: (stop, the next one, share of it).

    Frame 0 is at stop 0, and the way from the last stop leads back there.
    """
    ways = (divmod(frame * count, frames) for frame in range(frames))
    return [(stop, (stop + 1) % count, rest / frames) for stop, rest in ways]


def through(latents: Floats, frames: int) -> Floats:
    """By slerp from each latent [K, latent_size] to the next and back: [frames, latent_size]."""
    return np.stack([slerp(latents[one], latents[other], share)
                     for one, other, share in stops(frames, len(latents))])


def crossfade(labels: Floats, frames: int) -> Floats:
    """Labels [K, label_size] on the same way, blended: [frames, label_size]."""
    return np.stack([(1 - share) * labels[one] + share * labels[other]
                     for one, other, share in stops(frames, len(labels))])
