"""Reading stats.jsonl, and joining ticks to windows."""

import json
from pathlib import Path

import pytest

from progan.diagnosis.history import WINDOW, History, join_windows, lasting_streak, read_rows
from progan.errors import UserError
from tests.diagnosis.courses import after, history, steps


def test_a_line_that_was_cut_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text(
        '{"images_seen": 64, "loss": 1, "who": "x"}\n'
        '{"images_seen": 128, "loss": NaN}\n{"images_seen": 19'
    )
    first, second = read_rows(path)
    assert first == {"images_seen": 64.0, "loss": 1.0} and second["loss"] != second["loss"]
    assert read_rows(tmp_path / "none") == []


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[]",
        "{}",
        "x",
        '{"images_seen": "many"}',
        '{"images_seen": "5"}',
        '{"images_seen": -1}',
        '{"images_seen": 1e999}',
        '{"images_seen": NaN}',
        '{"images_seen": 1%s}' % ("0" * 400),
        '{"images_seen": 128, "loss": 1%s}' % ("0" * 400),
        '{"images_seen": 128, "schedule/resolution": NaN}',
        "[" * 100_000,
    ],
)
def test_other_lines_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text(json.dumps({"images_seen": 64}) + f"\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        read_rows(path)


@pytest.mark.parametrize("tick, ends", [(1, [16, 32, 48]), (10, [20, 40]), (24, [24, 48])])
def test_windows_are_long_enough_and_a_rest_is_left_out(tick: int, ends: list[int]) -> None:
    course = join_windows(history(steps(50, loss__generator=float), tick))
    assert [window.end for window in course if window.end <= 48] == ends
    for window in course:
        assert window.end - window.start >= WINDOW
        assert window.means["loss/generator"] == pytest.approx((window.start + window.end - 1) / 2)
        assert window.end_kimg == pytest.approx(window.end * 0.064)


def test_a_window_ends_where_the_resolution_changes() -> None:
    course = join_windows(history(steps(60, schedule__resolution=after(20, 64.0, 32.0)), 4))
    assert [(window.start, window.end, window.resolution) for window in course] == [
        (0, 16, 32),
        (16, 20, 32),
        (20, 36, 64),
        (36, 52, 64),
    ]


def test_gaps_end_a_stretch_and_what_is_unknown_does_not() -> None:
    course = join_windows(history(steps(320, loss__generator=after(160, 2.0, 1.0))))
    stretch = lasting_streak(course, lambda w: w.means["loss/generator"] > 1.5)
    assert (stretch[0].start, stretch[-1].end) == (160, 320)
    gap = lasting_streak(course, lambda w: w.start != 240)
    assert gap[0].start == 256
    unknown = lasting_streak(course, lambda w: None if w.start == 240 else w.start >= 200)
    assert unknown[0].start == 208
    assert lasting_streak(course, lambda w: w.start >= 288) == []  # too short to count
    assert lasting_streak([], lambda w: True) == [] == join_windows(History([]))
