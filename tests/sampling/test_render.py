"""Latents -> images, whatever the batches."""

import numpy as np
import pytest
import torch

from progan import networks as nets
from progan.sampling import render as render_module
from progan.sampling.latents import seed_latents
from progan.sampling.render import (
    MAX_BATCH,
    PIXELS_PER_BATCH,
    render,
    render_batches,
    render_single,
)
from progan.sampling.snapshot_file import Snapshot
from tests.builders import tiny_snapshot

COUNT = MAX_BATCH + 7  # more than one batch
NONE = torch.zeros(COUNT, 0)
LATENTS = seed_latents(range(COUNT), 8)


@pytest.fixture
def generator(snapshot: Snapshot) -> nets.Generator:
    return snapshot.generator


@pytest.mark.parametrize(("level", "alpha"), [(2, 1.0), (3, 1.0), (4, 0.3), (4, 1.0)])
def test_a_image_is_the_output_rounded(generator: nets.Generator, level: int, alpha: float) -> None:
    images = render(generator, LATENTS, NONE, level, alpha)
    weight = None if alpha == 1 else torch.tensor(alpha)
    output = generator(LATENTS, NONE, level, weight).numpy().transpose(0, 2, 3, 1)
    expected = np.clip(np.rint(output * 127.5 + 127.5), 0, 255)
    assert (images.dtype, images.shape) == (np.uint8, (COUNT, 2**level, 2**level, 3))
    assert images.std() > 5
    assert abs(images - expected).max() <= 1


def test_a_image_does_not_depend_on_its_batch(generator: nets.Generator) -> None:
    together = render(generator, LATENTS, NONE, 4).astype(int)
    for index in (0, 5, MAX_BATCH - 1, MAX_BATCH, COUNT - 1):
        alone = render(generator, LATENTS[index : index + 1], NONE[:1], 4)
        assert abs(together[index] - alone[0]).max() <= 1


def test_batches_come_in_order_and_are_small(generator: nets.Generator) -> None:
    batches = list(render_batches(generator, LATENTS, NONE, 3))
    assert [len(batch) for batch in batches] == [MAX_BATCH, 7]
    np.testing.assert_array_equal(np.concatenate(batches), render(generator, LATENTS, NONE, 3))


def test_large_images_come_in_smaller_batches(
    generator: nets.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PIXELS_PER_BATCH == 2 * 1024 * 1024
    monkeypatch.setattr(render_module, "PIXELS_PER_BATCH", 3 * 16 * 16)
    assert [len(batch) for batch in render_batches(generator, LATENTS[:7], NONE[:7], 4)] == [
        3,
        3,
        1,
    ]
    monkeypatch.setattr(render_module, "PIXELS_PER_BATCH", 1)
    assert [len(batch) for batch in render_batches(generator, LATENTS[:2], NONE[:2], 4)] == [1, 1]


def test_labels_reach_the_generator(with_classes: Snapshot) -> None:
    latents = LATENTS[:1].expand(3, -1)
    images = render(with_classes.generator, latents, torch.eye(3), 4)
    assert len(np.unique(images, axis=0)) == 3


def test_one_by_one_a_image_is_the_same_to_the_bit(
    generator: nets.Generator, snapshot: Snapshot
) -> None:
    together = list(render_single(snapshot, LATENTS, NONE))
    assert [image.shape for image in together] == [(1, 3, 16, 16)] * COUNT
    for index in (0, 5, COUNT - 1):
        (alone,) = render_single(snapshot, LATENTS[index : index + 1], NONE[:1])
        assert torch.equal(alone, together[index])
        assert torch.equal(alone, generator(LATENTS[index : index + 1], NONE[:1], 4))


def test_one_by_one_as_far_as_it_was_trained() -> None:
    fading = tiny_snapshot(level=3, alpha=0.3)
    (image,) = render_single(fading, LATENTS[:1], NONE[:1])
    assert torch.equal(image, fading.generator(LATENTS[:1], NONE[:1], 3, torch.tensor(0.3)))
