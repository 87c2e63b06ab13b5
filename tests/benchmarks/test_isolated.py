"""Whatever a measurement does, what was measured is kept, and the others are made."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.isolated import (
    Line,
    Part,
    Task,
    append_line,
    latest_figures,
    read_lines,
    require_results_folder,
    run_parts,
)
from progan.errors import UserError

FAULTS = "tests.benchmarks.faults:"
GOOD = Task("good", FAULTS + "measure")


def run(
    tmp_path: Path, *parts: Part, seconds: float = 60.0, **options: Any
) -> tuple[list[Line], list[str]]:
    """The lines that a call adds, and what it says."""
    results, said = tmp_path / "results.jsonl", list[str]()
    before = len(read_lines(results))
    run_parts(parts, results, seconds, said.append, preload=(), **options)
    return read_lines(results)[before:], said


def ends(lines: list[Line]) -> dict[str, str]:
    return {
        line["task"]: line["event"]
        for line in lines
        if line["event"] not in ("started", "measured")
    }


@pytest.mark.parametrize(
    "function, event, message",
    [
        ("fail", "failed", "RuntimeError: CUDA error: an illegal memory access was encountered"),
        ("die", "crashed", "killed by SIGSEGV. the last words"),
        ("leave", "crashed", "exit code 7"),
    ],
)
def test_a_task_that_goes_wrong_ends_alone(
    tmp_path: Path, function: str, event: str, message: str
) -> None:
    lines, said = run(tmp_path, Part("part", 1, [Task("bad", FAULTS + function), GOOD]))
    assert ends(lines) == {"bad": event, "good": "finished"}
    (end,) = [line for line in lines if line["event"] == event]
    assert message in end["message"]
    assert [line["name"] for line in latest_figures(lines, "part")] == (
        [] if function == "leave" else ["before"]
    ) + ["first", "second"]
    assert any(event in line and message.split(". ")[-1] in line for line in said)


def test_a_task_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    lines, _ = run(
        tmp_path,
        Part(
            "hanging",
            1,
            [Task("bad", FAULTS + "hang", {"pid_file": str(pid_file)})],
            least_seconds=0,
        ),
        Part("good", 1000, [GOOD]),
        seconds=4000.0,
    )
    assert ends(lines) == {"bad": "timed out", "good": "finished"}
    assert [line["name"] for line in latest_figures(lines, "hanging")] == ["before"]
    process = Path(f"/proc/{pid_file.read_text()}/stat")
    assert not process.exists() or process.read_text().split(") ")[1][0] in "ZX"


def test_a_second_call_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    part = Part("part", 1, [Task("bad", FAULTS + "fail"), GOOD])
    run(tmp_path, part)
    assert run(tmp_path, part)[0] == []
    other = Part("other", 1, [GOOD])
    assert ends(run(tmp_path, part, other)[0]) == {"good": "finished"}
    assert ends(run(tmp_path, part, other, retry=True)[0]) == {"bad": "failed"}


def test_an_interrupted_task_measures_what_is_missing(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    append_line(results, {"event": "started", "part": "part", "task": "good"})
    append_line(
        results, {"event": "measured", "part": "part", "task": "good", "name": "first", "value": 9}
    )
    with results.open("ab") as file:
        file.write(b'{"event": "measured", "part": "part", "ta')  # the process was killed
    run(tmp_path, Part("part", 1, [GOOD]))
    assert [
        (line["name"], line["value"]) for line in latest_figures(read_lines(results), "part")
    ] == [("first", 9), ("second", "inf")]


def test_without_time_nothing_is_started(tmp_path: Path) -> None:
    lines, said = run(tmp_path, Part("part", 1, [GOOD], least_seconds=10), seconds=5.0)
    assert lines == [] and "no time left for good" in said[-1]


def test_a_part_leaves_the_time_of_earlier_ones_to_later_ones(tmp_path: Path) -> None:
    _, said = run(tmp_path, Part("first", 1, [GOOD]), Part("last", 1, [GOOD]), seconds=600.0)
    first, last = (
        float(line.split("at most ")[1].split(" s")[0]) for line in said if "at most" in line
    )
    assert first == 300 and 500 < last <= 600


def test_tasks_of_a_part_may_run_at_the_same_time(tmp_path: Path) -> None:
    """Both hang until the limit: one after the other, the second would have no time."""
    start = time.monotonic()
    lines, _ = run(
        tmp_path,
        Part(
            "part",
            1,
            [
                Task(f"bad {number}", FAULTS + "hang", {"pid_file": str(tmp_path / f"{number}")})
                for number in range(2)
            ],
            parallel=2,
            least_seconds=0,
        ),
        seconds=3.0,
    )
    assert ends(lines) == {"bad 0": "timed out", "bad 1": "timed out"}
    assert [line["event"] for line in lines[:2]] == ["started", "started"]
    assert time.monotonic() - start >= 3.0


def test_lines_that_are_not_whole_are_left_out(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    results.write_text(
        '{"event": "measured", "part": "a", "task": "b"}\n[]\n{"event": 1}\nnull\n{"ev'
    )
    assert read_lines(results) == [{"event": "measured", "part": "a", "task": "b"}]
    append_line(results, {"event": "finished", "part": "a", "task": "b"})
    assert json.loads(results.read_text().splitlines()[-1])["event"] == "finished"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--output .*file/x: Not a directory"):
        require_results_folder(tmp_path / "file/x")
