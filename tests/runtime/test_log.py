"""Lines for people."""

import io
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.runtime.log import Log
from progan.runtime.text import format_duration, format_percent, format_rate

STAMPED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  (.*)")
UNIT_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def test_lines_are_shown_plain_and_kept_with_their_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log(tmp_path / "log.txt")
    log("tick 1  128→256")
    log("two\nlines")
    assert capsys.readouterr().out == "tick 1  128→256\ntwo\nlines\n"
    lines = (tmp_path / "log.txt").read_text("utf-8").splitlines()
    assert [match[1] for line in lines if (match := STAMPED.fullmatch(line))] == [
        "tick 1  128→256",
        "two",
        "lines",
    ]


def test_a_console_of_another_encoding_gets_escapes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.TextIOWrapper(io.BytesIO(), "ascii", newline="\n")
    monkeypatch.setattr(sys, "stdout", output)
    Log(tmp_path / "log.txt")("4→8 fade")
    output.flush()
    assert output.buffer.getvalue() == b"4\\u21928 fade\n"
    assert "4→8 fade" in (tmp_path / "log.txt").read_text("utf-8")


@pytest.mark.parametrize("before, lines", [("", 1), ("a\n", 2), ("a\nb", 3), ("\n", 2)])
def test_a_line_that_was_cut_stays_a_line_of_its_own(
    tmp_path: Path, before: str, lines: int
) -> None:
    path = tmp_path / "log.txt"
    path.write_text(before)
    Log(path)("new")
    found = path.read_text().splitlines()
    assert len(found) == lines and found[-1].endswith("  new")
    assert "\n".join(found).startswith(before)


def test_names_that_are_no_utf8_are_shown_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Log(tmp_path / "log.txt")("data/x\udcff")
    assert capsys.readouterr().out == "data/x\\udcff\n"
    assert (tmp_path / "log.txt").read_text("utf-8").endswith("data/x\\udcff\n")


def test_a_resumed_run_continues_its_log(tmp_path: Path) -> None:
    for text in ("first", "second"):
        Log(tmp_path / "log.txt")(text)
    assert [line.split()[-1] for line in (tmp_path / "log.txt").read_text().splitlines()] == [
        "first",
        "second",
    ]


@pytest.mark.parametrize("ended", ["reader", "disk"])
def test_a_training_outlives_its_reader(tmp_path: Path, ended: str) -> None:
    script = (
        "import sys, pathlib; from progan.runtime.log import Log\n"
        "log = Log(pathlib.Path(sys.argv[1])); sys.stdin.readline()\n"
        "for word in ('one', 'two'): log(word)\n"
    )
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "log.txt")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if ended == "reader" else full,
            stderr=subprocess.PIPE,
        )
    if process.stdout:
        process.stdout.close()
    _, errors = process.communicate(b"\n")
    assert (process.returncode, errors) == (0, b"")
    lines = [line[21:] for line in (tmp_path / "log.txt").read_text().splitlines()]
    assert lines[0].startswith("Standard output failed (")
    assert lines[1:] == ["one", "two"]


@pytest.mark.parametrize(
    ("speed", "text"),
    [(0.02341, "0.0234"), (5.6, "5.6"), (99.94, "99.9"), (213.4, "213"), (1774.2, "1774")],
)
def test_speeds_are_written_without_powers_of_ten(speed: float, text: str) -> None:
    assert format_rate(speed) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (187, "3m 07s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (3720, "1h 02m"),
        (86399, "23h 59m"),
        (86400, "1d 00h"),
        (187200, "2d 04h"),
        (8640000, "100d 00h"),
    ],
)
def test_times_are_written_in_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 10**8))
def test_no_more_than_the_last_unit_is_lost(seconds: float) -> None:
    parts = [(int(part[:-1]), UNIT_SECONDS[part[-1]]) for part in format_duration(seconds).split()]
    shown = sum(number * unit for number, unit in parts)
    assert shown <= seconds < shown + parts[-1][1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3.0, "0s"),
        (math.inf, "more than 10 years"),
        (math.nan, "more than 10 years"),
        (1e300, "more than 10 years"),
        (86400 * 3000.0, "3000d 00h"),
    ],
)
def test_times_are_bounded(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


def test_percentages_are_within_0_and_100() -> None:
    assert [format_percent(share) for share in (-0.1, 0.0, 0.4304, 1.0, 1.07)] == [
        "0.0%",
        "0.0%",
        "43.0%",
        "100.0%",
        "100.0%",
    ]
