"""Films of latents on their way."""

import numpy as np
import pytest
import torch

from progan.errors import UserError
from progan.sampling.interpolation import MOST_PICTURES, random_walk_path, seed_tour_path
from progan.sampling.latents import batch_from_seeds
from progan.sampling.network_file import Snapshot
from progan.sampling.options import VideoTiming
from progan.sampling.render import as_pixels, render_single
from progan.sampling.video import frame_of, frame_size, interpolation_frames
from progan.sizes import Size
from tests.builders import tiny_snapshot

TIMING = VideoTiming(2, 6)


def test_each_cell_of_a_grid_walks_on_its_own(with_classes: Snapshot) -> None:
    script = random_walk_path(with_classes, 4, 3, TIMING, 0.75)
    assert script.latents.shape == (12, 3, 8) and script.latents.dtype == torch.float32
    for cell in range(3):
        alone = random_walk_path(with_classes, 4 + cell, 1, TIMING, 0.75)
        assert torch.equal(script.latents[:, cell], alone.latents[:, 0])
        assert torch.equal(script.labels[:, cell], alone.labels[:, 0])
    assert script.labels[0].argmax(1).tolist() == [1, 2, 0]
    assert (script.labels == script.labels[:1]).all()


def test_smoothing_is_a_time_and_not_a_number_of_frames(snapshot: Snapshot) -> None:
    """Twice as many frames a second differ half as much."""
    def speed(fps: float) -> float:
        latents = random_walk_path(snapshot, 0, 1, VideoTiming(20, fps), 0.75).latents
        return (latents[1:] - latents[:-1]).square().mean().sqrt().item()

    assert 0.4 < speed(40) / speed(20) < 0.6


def test_the_way_through_seeds(with_classes: Snapshot) -> None:
    wish = batch_from_seeds(with_classes, "3,1,4")
    script = seed_tour_path(wish, 4, TIMING)
    for cell in range(4):
        for stop in range(3):
            assert torch.allclose(script.latents[4 * stop, cell], wish.latents[(stop + cell) % 3])
            assert torch.equal(script.labels[4 * stop, cell], wish.labels[(stop + cell) % 3])
    assert torch.allclose(script.labels.sum(-1), torch.ones(12, 4))


def test_one_picture_is_no_way(snapshot: Snapshot) -> None:
    with pytest.raises(UserError, match="two or more, e.g. --seeds 3,14,15"):
        seed_tour_path(batch_from_seeds(snapshot, "3"), 1, TIMING)


def test_films_that_nobody_waits_for_are_refused(snapshot: Snapshot) -> None:
    long = VideoTiming(500, 60)
    cells = MOST_PICTURES // long.frames + 1
    for make in (lambda: random_walk_path(snapshot, 0, cells, long, 1),
                 lambda: seed_tour_path(batch_from_seeds(snapshot, "0-1"), cells, long)):
        with pytest.raises(UserError, match="30,000 frames of 17 cells"):
            make()
    with pytest.raises(UserError, match="seeds of walks end at 4294967295"):
        random_walk_path(snapshot, 2**32 - 1, 2, TIMING, 1)


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf")])
def test_smoothing_is_a_number(snapshot: Snapshot, smoothing: float) -> None:
    with pytest.raises(UserError, match="--smoothing"):
        random_walk_path(snapshot, 0, 1, TIMING, smoothing)


def test_a_frame_is_what_the_pictures_are(snapshot: Snapshot) -> None:
    script = seed_tour_path(batch_from_seeds(snapshot, "0-1"), 2, TIMING)
    film = list(interpolation_frames(snapshot, script, 2, 1))
    assert len(film) == 12
    first = [as_pixels(image) for image in render_single(
        snapshot, batch_from_seeds(snapshot, "0-1").latents, torch.zeros(2, 0))]
    np.testing.assert_array_equal(film[0][::16, :256:16], first[0])
    np.testing.assert_array_equal(film[0][::16, 256::16], first[1])


@pytest.mark.parametrize(("base", "channels", "columns", "rows"), [
    (Size(4, 4), 3, 1, 1), (Size(4, 6), 1, 2, 3), (Size(5, 4), 4, 20, 17)])
def test_frames_have_the_size_that_is_told_before(base: Size, channels: int, columns: int,
                                                  rows: int) -> None:
    snapshot = tiny_snapshot(base=base, channels=channels, level=3)
    cell = snapshot.generator.config.size(3)
    images = np.zeros((columns * rows, *cell, channels), np.uint8)
    page = frame_of(images, columns, rows)
    assert page.shape == (*frame_size(cell, columns, rows), 3)
    assert min(page.shape[:2]) > 128
