"""Latents that move: they loop, keep their length, and are where they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from progan.sampling.interpolation import (
    blend_labels,
    choose_smoothing,
    random_walk,
    slerp,
    slerp_tour,
    tour_positions,
)

SEEDS = st.integers(0, 2**32 - 1)
FRAMES = st.integers(1, 200)
SIGMAS = st.floats(0.1, 60)


def steps(latents: np.ndarray) -> np.ndarray:
    """How far each frame is from the next one, and the last from the first."""
    return np.linalg.norm(np.roll(latents, -1, 0) - latents, axis=1)


@given(SEEDS, FRAMES, st.integers(1, 64), SIGMAS)
def test_a_walk_has_its_frames_and_the_length_of_normal_latents(
    seed: int, frames: int, size: int, sigma: float
) -> None:
    latents = random_walk(seed, frames, size, sigma)
    assert latents.shape == (frames, size)
    assert np.isclose(np.mean(latents**2), 1)


@given(SEEDS, st.integers(60, 300), st.floats(2, 30))
def test_a_walk_closes(seed: int, frames: int, sigma: float) -> None:
    """The step from the last frame to the first is a step as all the others are."""
    *between, closing = steps(random_walk(seed, frames, 512, sigma))
    assert closing <= 1.2 * max(between)


@given(SEEDS, st.integers(2, 100), st.floats(0.5, 20), st.integers(1, 99))
def test_a_walk_has_no_beginning(seed: int, frames: int, sigma: float, shift: int) -> None:
    """Had the noise begun elsewhere, the same loop would have begun there."""
    noise = np.random.RandomState(seed).randn(frames, 4)
    turned = gaussian_filter(np.roll(noise, shift, 0), [sigma, 0], mode="wrap")
    turned /= np.sqrt(np.mean(turned**2))
    np.testing.assert_allclose(
        np.roll(random_walk(seed, frames, 4, sigma), shift, 0), turned, atol=1e-9
    )


def test_a_walk_is_the_official_one() -> None:
    """generate_interpolation_video: a grid of 1x1, random_seed 1000, 1 s of smoothing at 30 Hz."""
    random_state = np.random.RandomState(1000)
    latents = random_state.randn(90, 1, 16).astype(np.float32)
    latents = gaussian_filter(latents, [1.0 * 30, 0, 0], mode="wrap")
    latents /= np.sqrt(np.mean(np.square(latents)))
    np.testing.assert_allclose(random_walk(1000, 90, 16, 30), latents[:, 0], atol=1e-4)


def test_the_slower_the_smoother() -> None:
    speeds = [steps(random_walk(0, 300, 64, sigma)).mean() for sigma in (2, 10, 45)]
    assert speeds[0] > 3 * speeds[1] > 9 * speeds[2]


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.5, 60.0])
def test_short_videos_move_too(seconds: float) -> None:
    assert choose_smoothing(60) == 0.75  # 45 frames at 60 Hz
    video = random_walk(0, round(30 * seconds), 64, 30 * choose_smoothing(seconds))
    half = len(video) // 2
    assert np.corrcoef(video[0], video[half])[0, 1] < 0.8


LATENTS = st.integers(0, 2**31).map(lambda seed: np.random.RandomState(seed).randn(2, 16))


@given(LATENTS, st.floats(0, 1))
def test_slerp_turns_evenly_and_keeps_the_length(ends: np.ndarray, share: float) -> None:
    first, second = ends
    second *= np.linalg.norm(first) / np.linalg.norm(second)
    between = slerp(first, second, share)
    square = first @ first
    whole, part = (np.arccos(np.clip(first @ x / square, -1, 1)) for x in (second, between))
    assert np.isclose(between @ between, square)
    assert np.isclose(part, share * whole, atol=1e-6)


@given(LATENTS)
def test_slerp_begins_and_ends_where_it_should(ends: np.ndarray) -> None:
    np.testing.assert_allclose(slerp(*ends, 0.0), ends[0])
    np.testing.assert_allclose(slerp(*ends, 1.0), ends[1])
    lengths = np.linalg.norm(ends, axis=1)
    assert np.isclose(np.linalg.norm(slerp(*ends, 0.5)), lengths.mean())


@pytest.mark.parametrize("second", [[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [2.0, 4.0]])
def test_where_there_is_no_way_round_it_goes_straight(second: list[float]) -> None:
    first = np.array([1.0, 2.0])
    np.testing.assert_allclose(
        slerp(first, np.array(second), 0.25), 0.75 * first + 0.25 * np.array(second)
    )


def test_stops() -> None:
    assert tour_positions(6, 2) == [
        (0, 1, 0.0),
        (0, 1, 1 / 3),
        (0, 1, 2 / 3),
        (1, 0, 0.0),
        (1, 0, 1 / 3),
        (1, 0, 2 / 3),
    ]
    assert tour_positions(2, 4) == [(0, 1, 0.0), (2, 3, 0.0)]


@given(SEEDS.filter(bool), st.integers(2, 9), st.integers(1, 20))
def test_a_way_meets_every_latent_and_closes(seed: int, count: int, each: int) -> None:
    latents = np.random.RandomState(seed).randn(count, 32)
    latents /= np.linalg.norm(latents, axis=1, keepdims=True)
    way = slerp_tour(latents, count * each)
    np.testing.assert_allclose(way[::each], latents)
    if each > 1:
        spans = steps(way).reshape(count, each)  # the last one leads back to the first
        np.testing.assert_allclose(spans.max(1), spans.min(1))


def test_classes_are_blended() -> None:
    labels = blend_labels(np.eye(2), 4)
    np.testing.assert_allclose(labels, [[1, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]])
