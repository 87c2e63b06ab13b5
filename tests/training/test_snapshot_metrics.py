"""Metrics of the snapshots of a run, with metrics that are known."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.run_directory import format_kimg_file_name
from progan.runtime.devices import choose_device
from progan.runtime.log import Log
from progan.runtime.signals import StopSignal
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.snapshot_metrics import SnapshotMetric, SnapshotMetrics, is_snapshot_unmeasured
from progan.training.state import create_state
from progan.training.stats_logger import StatsLogger
from tests.builders import tiny_run, tiny_snapshot

SCORES = (5.0, 3.0, 4.0, 2.0)
ALL = len(SCORES)


def measurements(
    directory: Path, measures: dict[str, SnapshotMetric], seen: int = 0
) -> SnapshotMetrics:
    return SnapshotMetrics(
        measures, tiny_run(), directory, StatsLogger(directory, seen), Log(directory / "log.txt"),
        StopSignal(), CheckpointWriter(directory, tiny_run()),
    )  # fmt: skip


def measure_all(directory: Path, measures: dict[str, SnapshotMetric], count: int = ALL) -> None:
    """Save and measure a snapshot for each thousand of images."""
    hook, snapshot = measurements(directory, measures), tiny_snapshot()
    state = create_state(tiny_run(), choose_device("cpu"))
    for images_seen in range(1000, 1000 * (count + 1), 1000):
        state.images_seen, state.seconds = images_seen, images_seen * 3.6
        taken = Snapshot(generator=snapshot.generator, level=4, alpha=1.0, images_seen=images_seen)
        save_network(
            directory / format_kimg_file_name("network-snapshot-", images_seen, ".safetensors"),
            taken,
        )
        hook(taken, state)
    hook.stats.close()


def score(snapshot: Snapshot) -> tuple[dict[str, float], dict[str, float]]:
    return {"score": SCORES[snapshot.images_seen // 1000 - 1]}, {"score": 1.0}


def fail(snapshot: Snapshot) -> tuple[dict[str, float], dict[str, float]]:
    raise ZeroDivisionError("no such luck")


def test_each_snapshot_is_one_line_and_one_point(tmp_path: Path) -> None:
    measure_all(tmp_path, {"known": SnapshotMetric(score)})
    lines = [
        json.loads(line)
        for line in (tmp_path / "metric-known.jsonl").read_text().split("\n")
        if line
    ]
    assert [line["values"]["score"] for line in lines] == [*SCORES]
    assert [line["kimg"] for line in lines] == [1, 2, 3, 4]
    assert lines[1]["hours"] == pytest.approx(2)
    assert lines[0]["reals"] == {"score": 1.0}
    assert "known  score 3" in (tmp_path / "log.txt").read_text()
    assert not (tmp_path / "stats.jsonl").exists()
    assert not list(tmp_path.glob("network-best-*"))
    page = np.asarray(Image.open(tmp_path / "metric-known.png").convert("RGB"))
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 10, "curves are coloured"


def test_the_best_network_is_kept(tmp_path: Path) -> None:
    for count, kimg in ((1, 1), (3, 2), (4, 4)):
        folder = tmp_path / str(count)
        folder.mkdir()
        measure_all(folder, {"known": SnapshotMetric(score, best_column="score")}, count)
        best = folder / "network-best-known.safetensors"
        expected = folder / format_kimg_file_name("network-snapshot-", 1000 * kimg, ".safetensors")
        assert best.read_bytes() == expected.read_bytes()


def test_a_metric_that_fails_is_reported_and_the_others_are_measured(tmp_path: Path) -> None:
    measure_all(tmp_path, {"bad": SnapshotMetric(fail), "known": SnapshotMetric(score)})
    assert (tmp_path / "log.txt").read_text().count(
        "bad failed, training continues: ZeroDivisionError: no such luck"
    ) == ALL
    assert len((tmp_path / "metric-known.jsonl").read_text().splitlines()) == ALL
    assert not (tmp_path / "metric-bad.jsonl").exists()


def test_ctrl_c_ends_a_measurement_at_once(tmp_path: Path) -> None:
    def pressed(snapshot: Snapshot) -> tuple[dict[str, float], dict[str, float]]:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    hook = measurements(tmp_path, {"known": SnapshotMetric(pressed)})
    with hook.interrupts:
        hook(tiny_snapshot(), create_state(tiny_run(), choose_device("cpu")))
    hook.stats.close()
    assert hook.interrupts.reason == "SIGTERM"
    assert not (tmp_path / "metric-known.jsonl").exists()


def test_after_a_signal_nothing_is_measured(tmp_path: Path) -> None:
    hook = measurements(tmp_path, {"known": SnapshotMetric(score)})
    hook.interrupts.reason = "SIGTERM"
    hook(tiny_snapshot(), create_state(tiny_run(), choose_device("cpu")))
    hook.stats.close()
    assert not (tmp_path / "metric-known.jsonl").exists()


def test_what_was_cut_short_is_measured_when_the_run_goes_on(tmp_path: Path) -> None:
    measure_all(tmp_path, {"known": SnapshotMetric(score)})
    path = tmp_path / "metric-known.jsonl"
    whole = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:2]))
    state = create_state(tiny_run(), choose_device("cpu"))
    state.images_seen, state.seconds = 3000, 3000 * 3.6
    hook = measurements(tmp_path, {"known": SnapshotMetric(score)}, state.images_seen)
    for _ in range(2):  # the second time there is nothing to do
        hook.catch_up(state)
    hook.stats.close()
    again = [json.loads(line) for line in path.read_text().splitlines()]
    for line in (*whole, *again):
        del line["seconds"]
    assert again == whole[:3]


def test_nothing_is_measured_between_two_snapshots(tmp_path: Path) -> None:
    measure_all(tmp_path, {"known": SnapshotMetric(score)}, 2)
    state = create_state(tiny_run(), choose_device("cpu"))
    state.images_seen = 2500
    hook = measurements(tmp_path, {"known": SnapshotMetric(score)}, state.images_seen)
    hook.catch_up(state)
    hook.stats.close()
    assert len((tmp_path / "metric-known.jsonl").read_text().splitlines()) == 2


def test_a_snapshot_is_unmeasured_if_it_lacks_a_line_of_some_metric(tmp_path: Path) -> None:
    measure_all(tmp_path, {"known": SnapshotMetric(score)}, 2)
    assert not is_snapshot_unmeasured(tmp_path, ["known"], 2000)
    assert is_snapshot_unmeasured(tmp_path, ["known", "other"], 2000)
    assert not is_snapshot_unmeasured(tmp_path, ["known"], 2500), "there is no snapshot"
    assert not is_snapshot_unmeasured(tmp_path, [], 2000)


def test_the_best_of_the_snapshots_before_is_kept_when_a_resumed_run_asks_for_it(
    tmp_path: Path,
) -> None:
    measure_all(tmp_path, {"known": SnapshotMetric(score)}, 3)
    state = create_state(tiny_run(), choose_device("cpu"))
    state.images_seen = 3000
    hook = measurements(tmp_path, {"known": SnapshotMetric(score, best_column="score")}, 3000)
    hook.catch_up(state)
    hook.stats.close()
    best = tmp_path / "network-best-known.safetensors"
    assert best.read_bytes() == (tmp_path / "network-snapshot-000002.safetensors").read_bytes()
