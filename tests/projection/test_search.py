"""The search for a latent, on a network that finds its own pictures again."""

import numpy as np
import pytest
import torch

from progan.projection.search import (
    LEARNING_RATE,
    Distance,
    SearchBudget,
    _compute_distance_gradients,
    count_compared_seeds,
    learning_rate_at,
    make_distance,
    normalize_latents,
    search_latent,
)
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render_single
from progan.sampling.snapshot_file import Snapshot
from tests.builders import tiny_snapshot

OWN = 1000  # a seed that no search begins with


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return tiny_snapshot()


def drawn(snapshot: Snapshot, seed: int, label: int = 0) -> torch.Tensor:
    config = snapshot.generator.config
    (image,) = render_single(
        snapshot, seed_latents([seed], config.latent_size), seed_labels([label], config.label_size)
    )
    return image


def plain(target: torch.Tensor) -> Distance:
    return make_distance(target, None)


def test_a_picture_of_its_own_is_found(snapshot: Snapshot) -> None:
    target = drawn(snapshot, OWN)
    found = search_latent(snapshot, plain(target), SearchBudget(starts=32, steps=150), None)
    assert found.latents.shape == (151, snapshot.generator.config.latent_size)
    (first, last) = (
        float(plain(target)(image))
        for image in render_single(snapshot, found.latents[[0, -1]], found.label.expand(2, -1))
    )
    assert last < 1e-4 < 1e-2 < first
    own = normalize_latents(seed_latents([OWN], len(found.latents[0])))
    assert float(torch.cosine_similarity(found.latents[-1:], own)) > 0.99


def test_the_search_is_the_same_each_time(snapshot: Snapshot) -> None:
    ways = [
        search_latent(
            snapshot, plain(drawn(snapshot, OWN)), SearchBudget(starts=8, steps=5), None
        ).latents
        for _ in range(2)
    ]
    assert torch.equal(*ways)


def test_it_begins_with_the_nearest_seed(snapshot: Snapshot) -> None:
    target = drawn(snapshot, 5)
    found = search_latent(snapshot, plain(target), SearchBudget(starts=8, kept=1, steps=1), None)
    size = snapshot.generator.config.latent_size
    torch.testing.assert_close(found.latents[0], normalize_latents(seed_latents([5], size))[0])


def test_more_are_kept_than_there_are_seeds(snapshot: Snapshot) -> None:
    found = search_latent(
        snapshot, plain(drawn(snapshot, OWN)), SearchBudget(starts=1, kept=4, steps=1), None
    )
    assert found.latents.shape[0] == 2


def test_the_class_is_found_or_kept() -> None:
    snapshot = tiny_snapshot(("cat", "dog", "cow"))
    distance = plain(drawn(snapshot, 7, label=7))  # 7 mod 3: a dog
    effort = SearchBudget(starts=8, steps=4)
    assert search_latent(snapshot, distance, effort, None).label.tolist() == [0, 1, 0]
    assert search_latent(snapshot, distance, effort, "cow").label.tolist() == [0, 0, 1]


def test_latents_stay_on_the_sphere(snapshot: Snapshot) -> None:
    found = search_latent(
        snapshot, plain(drawn(snapshot, OWN)), SearchBudget(starts=4, steps=7), None
    )
    size = snapshot.generator.config.latent_size
    np.testing.assert_allclose(found.latents.norm(dim=1), size**0.5, rtol=1e-6)


def test_gradients_are_those_of_each_picture_alone(snapshot: Snapshot) -> None:
    """Against differences, in float64."""
    config = snapshot.generator.config
    double = Snapshot(
        generator=snapshot.generator.double(),
        level=snapshot.level,
        alpha=snapshot.alpha,
        images_seen=0,
    )
    try:
        latents = seed_latents([1, 2], config.latent_size).double()
        labels = torch.zeros(2, 0).double()
        distance = plain(torch.zeros(1, config.channels, 16, 16).double())
        found = _compute_distance_gradients(
            double, distance, latents.clone().requires_grad_(), labels
        )
        step = 1e-6
        for row in range(2):
            for column in range(config.latent_size):
                moved = [latents[row : row + 1].clone() for _ in range(2)]
                moved[0][0, column] += step
                moved[1][0, column] -= step
                above, below = (
                    distance(next(render_single(double, each, labels[:1]))) for each in moved
                )
                assert float(found[row, column]) == pytest.approx(
                    float(above - below) / (2 * step), abs=1e-7
                )
    finally:
        snapshot.generator.float()


def test_the_rate_rises_and_falls() -> None:
    rates = [learning_rate_at(step / 200) for step in range(200)]
    assert max(rates) == LEARNING_RATE == rates[100]
    assert 0 < rates[0] < 0.2 * LEARNING_RATE and 0 < rates[-1] < 0.01 * LEARNING_RATE
    top = rates.index(LEARNING_RATE)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize(
    ("starts", "class_name", "count"), [(1, None, 3), (5, None, 5), (1, "b", 1)]
)
def test_a_seed_of_each_class_is_compared(starts: int, class_name: str | None, count: int) -> None:
    snapshot = tiny_snapshot(("a", "b", "c"))
    assert count_compared_seeds(snapshot, starts, class_name) == count
    found = search_latent(
        snapshot, plain(drawn(snapshot, 2, 2)), SearchBudget(starts=1, steps=0), None
    )
    assert int(found.label.argmax()) == 2
