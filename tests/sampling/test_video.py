"""Frames of videos: of latent paths, and of a run's growth."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from progan.errors import UserError
from progan.images import enlarge_by_repeating_pixels
from progan.sampling.find_network import find_networks
from progan.sampling.interpolation import MAX_IMAGES, random_walk_path, seed_tour_path
from progan.sampling.latents import batch_from_seeds
from progan.sampling.options import VideoTiming
from progan.sampling.render import render_single, to_uint8_pixels
from progan.sampling.snapshot_file import Snapshot, load_network, save_network
from progan.sampling.video import (
    GROWTH_SEEDS,
    choose_shown_snapshots,
    compose_frame,
    frame_size,
    growth_frames,
    interpolation_frames,
    read_training_hours,
    require_encodable,
    require_several_snapshots,
    stage_caption,
)
from progan.sizes import Size
from tests.builders import tiny_snapshot

TIMING = VideoTiming(2, 6)
CPU = torch.device("cpu")
STAGES = ((2, 1.0), (3, 0.5), (3, 1.0), (4, 0.25))


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
    latent_batch = batch_from_seeds(with_classes, "3,1,4")
    script = seed_tour_path(latent_batch, 4, TIMING)
    for cell in range(4):
        for stop in range(3):
            assert torch.allclose(
                script.latents[4 * stop, cell], latent_batch.latents[(stop + cell) % 3]
            )
            assert torch.equal(
                script.labels[4 * stop, cell], latent_batch.labels[(stop + cell) % 3]
            )
    assert torch.allclose(script.labels.sum(-1), torch.ones(12, 4))


def test_one_image_is_no_way(snapshot: Snapshot) -> None:
    with pytest.raises(UserError, match="needs at least two, e.g. --seeds 3,14,15"):
        seed_tour_path(batch_from_seeds(snapshot, "3"), 1, TIMING)


def test_videos_that_nobody_waits_for_are_refused(snapshot: Snapshot) -> None:
    long = VideoTiming(500, 60)
    cells = MAX_IMAGES // long.frames + 1
    for make in (
        lambda: random_walk_path(snapshot, 0, cells, long, 1),
        lambda: seed_tour_path(batch_from_seeds(snapshot, "0-1"), cells, long),
    ):
        with pytest.raises(UserError, match="30,000 frames of 17 cells"):
            make()
    with pytest.raises(UserError, match="--walk 4294967295 is too large for 2 cells"):
        random_walk_path(snapshot, 2**32 - 1, 2, TIMING, 1)


@pytest.mark.parametrize("smoothing", [-1.0, float("nan"), float("inf")])
def test_smoothing_is_a_number(snapshot: Snapshot, smoothing: float) -> None:
    with pytest.raises(UserError, match="--smoothing"):
        random_walk_path(snapshot, 0, 1, TIMING, smoothing)


def test_a_frame_is_what_the_images_are(snapshot: Snapshot) -> None:
    script = seed_tour_path(batch_from_seeds(snapshot, "0-1"), 2, TIMING)
    video = list(interpolation_frames(snapshot, script, 2, 1))
    assert len(video) == 12
    first = [
        to_uint8_pixels(image)
        for image in render_single(
            snapshot, batch_from_seeds(snapshot, "0-1").latents, torch.zeros(2, 0)
        )
    ]
    np.testing.assert_array_equal(video[0][::16, :256:16], first[0])
    np.testing.assert_array_equal(video[0][::16, 256::16], first[1])


@pytest.mark.parametrize(
    ("base", "channels", "columns", "rows"),
    [
        (Size(4, 4), 3, 1, 1),
        (Size(4, 6), 1, 2, 3),
        (Size(5, 4), 4, 20, 17),
        (Size(4, 4), 3, 130, 1),
    ],
)
def test_frames_have_the_size_that_is_told_before(
    base: Size, channels: int, columns: int, rows: int
) -> None:
    snapshot = tiny_snapshot(base=base, channels=channels, level=3)
    cell = snapshot.generator.config.size(3)
    images = np.zeros((columns * rows, *cell, channels), np.uint8)
    page = compose_frame(images, columns, rows)
    size = frame_size(cell, columns, rows)
    assert page.shape == (*size, 3)
    assert min(size) > 128 or max(size) > 4096
    require_encodable(Path("a.gif"), VideoTiming(1, 10), size)


@pytest.mark.parametrize(
    ("count", "frames", "shown"),
    [(3, 6, [0, 0, 1, 1, 2, 2]), (12, 5, [0, 3, 6, 8, 11]), (4, 1, [3]), (3, 3, [0, 1, 2])],
)
def test_the_last_snapshot_is_always_shown(count: int, frames: int, shown: list[int]) -> None:
    assert choose_shown_snapshots(count, frames) == shown


@pytest.fixture
def run(tmp_path: Path) -> list[Path]:
    """Four snapshots, of 4x4 to 16x16."""
    for number, (level, alpha) in enumerate(STAGES):
        snapshot = dataclasses.replace(
            tiny_snapshot(level=level, alpha=alpha), images_seen=1000 * number
        )
        save_network(tmp_path / f"network-snapshot-{number:06d}.safetensors", snapshot)
    (tmp_path / "stats.jsonl").write_text(
        "".join(
            json.dumps({"images_seen": 1000 * number, "progress/hours": number / 60}) + "\n"
            for number in range(4)
        )
        + '{"images_seen": 40'
    )
    return find_networks(tmp_path)


def shown(snapshot: Snapshot) -> np.ndarray:
    """Six images as the video has them: 3 columns and 2 rows, 16x16 px as 128x128."""
    latent_batch = batch_from_seeds(snapshot, GROWTH_SEEDS)
    images = enlarge_by_repeating_pixels(
        np.stack(
            [
                to_uint8_pixels(image)
                for image in render_single(snapshot, latent_batch.latents, latent_batch.labels)
            ]
        ),
        128,
    )
    return images.reshape(2, 3, 128, 128, 3).transpose(0, 2, 1, 3, 4).reshape(256, 384, 3)


def test_each_snapshot_has_its_part_of_the_film(run: list[Path], snapshot: Snapshot) -> None:
    latent_batch, last = batch_from_seeds(snapshot, GROWTH_SEEDS), load_network(run[-1], CPU)
    run[-1].unlink()  # as a training does with an interim network
    video = list(growth_frames(run, last, latent_batch, 3, 2, VideoTiming(1, 10)))
    assert len(video) == 10
    whose = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]  # frame * 4 // 10
    for frame, index in zip(video, whose, strict=True):
        level, alpha = STAGES[index]
        expected = shown(tiny_snapshot(level=level, alpha=alpha))
        np.testing.assert_array_equal(frame[:200], expected[:200])
        assert (frame[-20:, :20] != expected[-20:, :20]).any()  # the corner has words


def test_fewer_frames_than_snapshots(run: list[Path], snapshot: Snapshot) -> None:
    batch, last = batch_from_seeds(snapshot, "0"), load_network(run[-1], CPU)
    assert len(list(growth_frames(run, last, batch, 1, 1, VideoTiming(1, 3)))) == 3


def test_words() -> None:
    fading = dataclasses.replace(tiny_snapshot(level=4, alpha=0.25), images_seen=12_345)
    assert stage_caption(fading, 1.05) == "8→16 fade 25%   kimg 12.3   1h 03m"
    assert stage_caption(tiny_snapshot(level=3), None) == "8 stable   kimg 1234.0"


def test_times_are_read_as_far_as_they_can_be(run: list[Path], tmp_path: Path) -> None:
    assert read_training_hours(tmp_path / "stats.jsonl") == {
        1000 * number: number / 60 for number in range(4)
    }
    assert read_training_hours(tmp_path / "absent.jsonl") == {}


def test_one_snapshot_is_no_growth(run: list[Path]) -> None:
    require_several_snapshots(run)
    with pytest.raises(UserError, match="is the only one. Name the directory of a run"):
        require_several_snapshots(run[-1:])
