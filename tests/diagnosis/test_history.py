"""Reading stats.jsonl, and joining ticks to windows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from progan.diagnosis.history import WINDOW, History, find_lasting_streak, join_windows, read_rows
from progan.diagnosis.status import explain_missing_statistics
from progan.errors import UserError
from tests.diagnosis.synthetic import DAMAGED_LINES, after, history, steps


def test_a_line_that_was_cut_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text(
        '{"images_seen": 64, "loss": 1, "who": "x"}\n'
        '{"images_seen": 128, "loss": NaN}\n{"images_seen": 19'
    )
    first, second = read_rows(path)
    assert first == {"images_seen": 64.0, "loss": 1.0} and second["loss"] != second["loss"]
    assert read_rows(tmp_path / "none") == []


@pytest.mark.parametrize("line", DAMAGED_LINES)
def test_other_lines_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text(json.dumps({"images_seen": 64}) + f"\n{line}\n")
    with pytest.raises(UserError, match="line 2"):
        read_rows(path)


@pytest.mark.parametrize("tick, ends", [(1, [16, 32, 48]), (10, [20, 40]), (24, [24, 48])])
def test_windows_are_long_enough_and_a_rest_is_left_out(tick: int, ends: list[int]) -> None:
    windows = join_windows(history(steps(50, loss__generator=float), tick))
    assert [window.end for window in windows if window.end <= 48] == ends
    for window in windows:
        assert window.end - window.start >= WINDOW
        assert window.means["loss/generator"] == pytest.approx((window.start + window.end - 1) / 2)
        assert window.end_kimg == pytest.approx(window.end * 0.064)


@pytest.mark.parametrize(("tick", "found"), [(97, False), (143, False), (144, True), (16, True)])
def test_a_tick_counts_from_the_end_of_the_warm_up(tick: int, found: bool) -> None:
    windows = join_windows(history(steps(144 if tick == 16 else tick), tick))
    assert bool(find_lasting_streak(windows, ["loss/generator"], lambda window: True)) == found
    assert (explain_missing_statistics(windows, "loss/generator") == "") == found


def test_a_window_ends_where_the_resolution_changes() -> None:
    windows = join_windows(history(steps(60, schedule__resolution=after(20, 64.0, 32.0)), 4))
    assert [(window.start, window.end, window.resolution) for window in windows] == [
        (0, 16, 32),
        (16, 20, 32),
        (20, 36, 64),
        (36, 52, 64),
    ]


def test_gaps_end_a_streak_and_unknown_windows_do_not() -> None:
    found = join_windows(history(steps(320, loss__generator=after(160, 2.0, 1.0))))
    loss = ["loss/generator"]
    streak = find_lasting_streak(found, loss, lambda w: w.means["loss/generator"] > 1.5)
    assert (streak[0].start, streak[-1].end) == (160, 320)
    gap = find_lasting_streak(found, loss, lambda w: w.start != 240)
    assert gap[0].start == 256
    unknown = [replace(w, means={}) if w.start == 240 else w for w in found]
    assert find_lasting_streak(unknown, loss, lambda w: w.start >= 200)[0].start == 208
    assert find_lasting_streak(found, loss, lambda w: w.start >= 288) == []  # too short to count
    assert find_lasting_streak([], loss, lambda w: True) == [] == join_windows(History([]))
