"""stats.jsonl and TensorBoard's events when a run is resumed."""

import errno
import json
import os
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from progan.diagnosis.history import read_rows
from progan.errors import UserError
from progan.run_directory import STATISTICS_FILE
from progan.training.stats_logger import StatsLogger
from progan.training.step_stats import StepStats
from tests.diagnosis.synthetic import DAMAGED_LINES


def test_lines_after_the_state_and_cut_lines_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / STATISTICS_FILE
    lines = [json.dumps({"images_seen": seen, "loss": 1.0}) + "\n" for seen in (10, 20, 30)]
    damaged = b'\xff\xfe\n[]\n{"loss": 3}\n{"images_seen": 5, "lo'
    path.write_bytes("".join(lines).encode() + damaged)
    stats = StatsLogger(tmp_path, images_seen=20)
    assert stats.repairs == [
        "Lines 4, 5, 6, 7 of stats.jsonl were damaged and are removed (4 of "
        "7; the last one was cut short, as by a crash)."
    ]
    stats.log_statistics({"loss": 2.0}, 25)
    stats.close()
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["images_seen"], row["loss"]) for row in rows] == [(10, 1.0), (20, 1.0), (25, 2.0)]


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_every_line_that_the_diagnosis_refuses_is_removed(tmp_path: Path, line: str) -> None:
    """It says that resuming the run repairs the file."""
    path = tmp_path / STATISTICS_FILE
    path.write_text(f'{line}\n{{"images_seen": 20}}\n')
    with pytest.raises(UserError, match="resume the run, which repairs the file"):
        read_rows(path)
    stats = StatsLogger(tmp_path, images_seen=20)
    stats.close()
    assert stats.repairs == ["Line 1 of stats.jsonl was damaged and is removed (1 of 2)."]
    assert read_rows(path) == [{"images_seen": 20}]


def test_lines_that_a_user_has_added_to_metrics_stay(tmp_path: Path) -> None:
    path = tmp_path / "metric-swd.jsonl"
    path.write_text('{"metric": "swd", "values": {}}\n{"images_seen": 1%s}\n' % ("0" * 400))
    stats = StatsLogger(tmp_path, images_seen=20)
    stats.close()
    assert stats.repairs == ["Line 2 of metric-swd.jsonl was damaged and is removed (1 of 2)."]
    assert path.read_text() == '{"metric": "swd", "values": {}}\n'


def test_the_meter_averages_each_statistic_over_its_own_steps() -> None:
    meter = StepStats()
    for value in (1.0, 2.0, 6.0):
        meter.add({"critic": torch.tensor(value)}, images=4)
    meter.add({"generator": torch.tensor(5.0)})
    means, images, seconds = meter.take()
    assert means == {"critic": 3.0, "generator": 5.0}
    assert images == 12 and seconds > 0
    meter.restart()
    assert meter.take()[:2] == ({}, 0)


def test_a_run_that_goes_on_within_a_second_is_read_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the process that goes on has the lower id."""
    for pid, images_seen in ((200, 0), (100, 64)):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        with closing(StatsLogger(tmp_path, images_seen)) as stats:
            stats.log_statistics({"x": 1.0}, images_seen + 64)
    points = EventAccumulator(str(tmp_path)).Reload().Scalars("x")
    assert [point.step for point in points] == [64, 128]


def test_a_path_that_tensorboard_cannot_write_to_costs_its_curves_alone(tmp_path: Path) -> None:
    directory, log = tmp_path / os.fsdecode(b"run-\xff"), list[str]()
    try:
        directory.mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    with closing(StatsLogger(directory, 0, log.append)) as stats:
        stats.log_statistics({"x": 1.0}, 64)
        stats.log_image("samples", np.zeros((4, 4, 3), np.uint8), 64)
        stats.log_text("diagnosis", "ok", 64)
    assert [path.name for path in directory.iterdir()] == [STATISTICS_FILE]
    (line,) = log
    assert line.startswith("TensorBoard gets no curves") and "--outdir" in line


def test_a_full_disk_ends_the_curves_of_tensorboard_and_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    stats = StatsLogger(tmp_path, 0, lines.append)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", fail)
    for images_seen in (1, 2, 3):
        stats.log_statistics({"a": 1.0}, images_seen)
    stats.close()
    assert len(lines) == 1
    assert "TensorBoard gets no more curves" in lines[0] and "No space left" in lines[0]
    assert len((tmp_path / "stats.jsonl").read_text().splitlines()) == 3
    assert "Traceback" not in "".join(capfd.readouterr())
