"""The growth of a run as a film."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from progan.errors import UserError
from progan.images import enlarge
from progan.sampling.latents import batch_from_seeds
from progan.sampling.network_choice import find_networks
from progan.sampling.network_file import Snapshot, save_network
from progan.sampling.options import VideoTiming
from progan.sampling.render import as_pixels, render_single
from progan.sampling.video import (
    GROWTH_SEEDS,
    growth_frames,
    read_training_hours,
    require_several_snapshots,
    stage_caption,
)
from tests.builders import tiny_snapshot

CPU = torch.device("cpu")
STAGES = ((2, 1.0), (3, 0.5), (3, 1.0), (4, 0.25))


@pytest.fixture
def run(tmp_path: Path) -> list[Path]:
    """Four snapshots, of 4x4 to 16x16."""
    for number, (level, alpha) in enumerate(STAGES):
        snapshot = dataclasses.replace(tiny_snapshot(level=level, alpha=alpha),
                                       images_seen=1000 * number)
        save_network(tmp_path / f"network-snapshot-{number:06d}.safetensors", snapshot)
    (tmp_path / "stats.jsonl").write_text("".join(
        json.dumps({"images_seen": 1000 * number, "progress/hours": number / 60}) + "\n"
        for number in range(4)) + '{"images_seen": 40')
    return find_networks(tmp_path)


def shown(snapshot: Snapshot) -> np.ndarray:
    """Six pictures as the film has them: 3 columns and 2 rows, 16x16 px as 128x128."""
    wish = batch_from_seeds(snapshot, GROWTH_SEEDS)
    images = enlarge(np.stack([as_pixels(image) for image in render_single(
        snapshot, wish.latents, wish.labels)]), 128)
    return images.reshape(2, 3, 128, 128, 3).transpose(0, 2, 1, 3, 4).reshape(256, 384, 3)


def test_each_snapshot_has_its_part_of_the_film(run: list[Path], snapshot: Snapshot) -> None:
    wish = batch_from_seeds(snapshot, GROWTH_SEEDS)
    film = list(growth_frames(run, wish, 3, 2, VideoTiming(1, 10), CPU))
    assert len(film) == 10
    whose = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]  # frame * 4 // 10
    for frame, index in zip(film, whose, strict=True):
        level, alpha = STAGES[index]
        expected = shown(tiny_snapshot(level=level, alpha=alpha))
        np.testing.assert_array_equal(frame[:200], expected[:200])
        assert (frame[-20:, :20] != expected[-20:, :20]).any()  # the corner has words


def test_fewer_frames_than_snapshots(run: list[Path], snapshot: Snapshot) -> None:
    assert len(list(growth_frames(run, batch_from_seeds(
        snapshot, "0"), 1, 1, VideoTiming(1, 3), CPU))) == 3


def test_words() -> None:
    fading = dataclasses.replace(tiny_snapshot(level=4, alpha=0.25), images_seen=12_345)
    assert stage_caption(fading, 1.05) == "8→16 fade 25%   kimg 12.3   1h 03m"
    assert stage_caption(tiny_snapshot(level=3), None) == "8 stable   kimg 1234.0"


def test_times_are_read_as_far_as_they_can_be(run: list[Path], tmp_path: Path) -> None:
    assert read_training_hours(tmp_path / "stats.jsonl") == {
        1000 * number: number / 60 for number in range(4)}
    assert read_training_hours(tmp_path / "absent.jsonl") == {}


def test_one_snapshot_is_no_growth(run: list[Path]) -> None:
    require_several_snapshots(run)
    with pytest.raises(UserError, match="is one alone. Name the directory of a run"):
        require_several_snapshots(run[-1:])
