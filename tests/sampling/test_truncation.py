"""--trunc: latents pulled toward those of typical images."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from progan.api import TrainedGenerator
from progan.images import to_pixels
from progan.sampling import truncation
from progan.sampling.latents import LatentBatch, seed_latents
from progan.sampling.truncation import find_centres, truncate, truncate_batch
from tests.builders import tiny_snapshot


def angle(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.arccos(torch.nn.functional.cosine_similarity(one, other, dim=-1).clamp(-1, 1))


@pytest.mark.parametrize("psi", [0.0, 0.3, 0.7, 1.0, 1.2])
def test_angles_to_the_centre_are_multiplied_and_lengths_kept(psi: float) -> None:
    latents = seed_latents(range(50), 64).double()
    centre = torch.nn.functional.normalize(seed_latents([99], 64)[0].double(), dim=0)
    moved = truncate(latents, centre, psi)
    torch.testing.assert_close(moved.norm(dim=1), latents.norm(dim=1))
    before = angle(latents, centre)
    torch.testing.assert_close(angle(moved, centre), psi * before, atol=1e-6, rtol=0)
    torch.testing.assert_close(angle(moved, latents), abs(1 - psi) * before,
                               atol=1e-6, rtol=0)  # fmt: skip
    if psi == 1:
        torch.testing.assert_close(moved, latents)


def test_the_centre_itself_stays() -> None:
    centre = torch.tensor([0.0, 1.0])
    assert truncate(3 * centre[None], centre, 0.5).tolist() == [[0.0, 3.0]]
    assert truncate(torch.tensor([[2.0, 0.0]]), centre, 0.5)[0].tolist() == pytest.approx(
        [2 * math.sin(math.pi / 4), 2 * math.cos(math.pi / 4)]
    )


def test_latents_without_a_direction_stay() -> None:
    centre = torch.tensor([0.0, 1.0])
    assert truncate(torch.zeros(1, 2), centre, 0.5).tolist() == [[0.0, 0.0]]


def test_truncated_images_are_nearer_to_the_mean_and_to_each_other() -> None:
    generator = TrainedGenerator(tiny_snapshot())
    distances = []
    for psi in (1.0, 0.7, 0.3, 0.0):
        images = generator.render(range(64), truncation=psi).astype(float)
        distances.append(float(np.square(images - images.mean(axis=0)).mean()))
    assert distances[0] > distances[1] > distances[2] > distances[3] == 0
    assert (generator.render([5], truncation=1.0) == generator.render([5])).all()


def test_each_class_has_a_centre_and_mixtures_lie_between() -> None:
    snapshot = tiny_snapshot(("3", "7", "1"))
    size = snapshot.generator.config.latent_size
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [0.5, 0, 0.5]])
    first, last, middle = find_centres(snapshot, labels)
    torch.testing.assert_close(middle, torch.nn.functional.normalize(first + last, dim=0))
    assert not torch.allclose(first, last)
    torch.testing.assert_close(find_centres(snapshot, labels), find_centres(snapshot, labels))
    batch = LatentBatch(("a", "b", "c"), seed_latents(range(3), size), labels)
    assert truncate_batch(snapshot, batch, 1.0) is batch
    moved = truncate_batch(snapshot, batch, 0.0).latents
    torch.testing.assert_close(angle(moved, find_centres(snapshot, labels)), torch.zeros(3),
                               atol=1e-3, rtol=0)  # fmt: skip


def test_the_centre_is_found_at_a_low_resolution_too() -> None:
    snapshot = tiny_snapshot()
    lower = replace(snapshot, level=2)
    assert find_centres(lower, torch.zeros(1, 0)).shape == (1, 8)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3)])
def test_without_classes_all_latents_have_one_centre(shape: tuple[int, ...]) -> None:
    snapshot = tiny_snapshot()
    found = find_centres(snapshot, torch.zeros(*shape, 0))
    expected = find_centres(snapshot, torch.zeros(0))
    assert torch.equal(
        found, expected.expand(*shape, 8)
    ) and expected.norm().item() == pytest.approx(1)


def test_labels_of_zeros_have_a_centre_of_their_own() -> None:
    snapshot = tiny_snapshot(("3", "7", "1"))
    rows = torch.tensor([[0.0, 1, 0], [0, 0, 0]])
    found = find_centres(snapshot, rows)
    torch.testing.assert_close(found, torch.stack([find_centres(snapshot, row) for row in rows]))
    latents = seed_latents(range(2), 8)
    moved = truncate(latents, found, 0.0)
    torch.testing.assert_close(moved.norm(dim=1), latents.norm(dim=1))


def test_large_images_are_compared_at_16x16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of networks that do not grow, or that began above it."""
    monkeypatch.setattr(truncation, "MAX_CENTRE_LEVEL", 2)
    snapshot = replace(tiny_snapshot(("3", "7")), first_level=4)
    latents = seed_latents(range(2**31, 2**31 + 1024), 8)
    label = torch.tensor([0.0, 1.0])
    pixels = to_pixels(snapshot.generator(latents, label.expand(1024, -1), 4)).astype(float)
    small = pixels.reshape(1024, 4, 4, 4, 4, 3).mean((2, 4)).reshape(1024, -1)
    distances = np.square(small - small.mean(axis=0)).sum(axis=1)
    typical = latents.numpy()[np.argsort(distances)[:102]].astype(float)
    expected = (typical / np.linalg.norm(typical, axis=1, keepdims=True)).mean(axis=0)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(find_centres(snapshot, label[None])[0], expected, atol=1e-5)


@pytest.mark.parametrize("level", [4, 3])
def test_the_centre_is_the_mean_direction_of_the_most_typical_tenth(
    level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 1024 fixed latents; images of higher resolutions are compared at a lower one."""
    monkeypatch.setattr(truncation, "MAX_CENTRE_LEVEL", level)
    snapshot = tiny_snapshot(("3", "7"), alpha=0.5)
    latents = seed_latents(range(2**31, 2**31 + 1024), snapshot.generator.config.latent_size)
    label = torch.tensor([0.0, 1.0])
    alpha = torch.tensor(0.5) if level == 4 else None
    images = snapshot.generator(latents, label.expand(1024, -1), level, alpha)
    pixels = to_pixels(images).reshape(1024, -1).astype(float)
    distances = np.square(pixels - pixels.mean(axis=0)).sum(axis=1)
    typical = latents.numpy()[np.argsort(distances)[:102]].astype(float)
    expected = (typical / np.linalg.norm(typical, axis=1, keepdims=True)).mean(axis=0)
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(find_centres(snapshot, label[None])[0], expected, atol=1e-5)
