"""What is known of a training: its statistics per tick, and what they mean."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from progan.config import Objective, Run
from progan.errors import UserError
from progan.run_directory import ROLLBACK_PREFIX, STATISTICS_FILE, load_config

Row = Mapping[str, float]  # statistics of a tick, by name; 'images_seen' is where it ended


class Rollback(NamedTuple):
    """What made the guard of the training go back, or stop, in words, and where it says more."""

    images_seen: float
    what: str
    file: str


@dataclass(frozen=True, slots=True)
class History:
    """The ticks of a run, oldest first, and the settings that say how to read them."""

    rows: Sequence[Row]
    objective: Objective = field(default_factory=Objective)
    d_repeats: int = 1  # critic steps per generator step
    rollback: Rollback | None = None  # since the last tick
    final_resolution: float = 0.0  # that the networks grow to; 0: not known

    @classmethod
    def of_run(cls, rows: Sequence[Row], run: Run, rollback: Rollback | None = None) -> "History":
        """Join ticks with the settings of their run."""
        return cls(
            rows, run.objective, run.growth.d_repeats, rollback, float(1 << run.network.max_level)
        )


def read_history(directory: Path) -> History:
    """Return the history of the run in a directory; raises UserError if there is none."""
    run = load_config(directory)
    rows = read_rows(directory / STATISTICS_FILE)
    ended_at = rows[-1]["images_seen"] if rows else 0.0
    faults = [
        fault
        for fault in map(_fault, sorted(directory.glob(f"{ROLLBACK_PREFIX}*.json")))
        if fault and fault.images_seen > ended_at
    ]
    return History.of_run(rows, run, faults[-1] if faults else None)


def _fault(path: Path) -> Rollback | None:
    """What a rollback left; None of a file that is none of ours."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return Rollback(float(told["images_seen"]), str(told["what"]), path.name)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_rows(path: Path) -> list[Row]:
    """Return the lines of a stats.jsonl; one that was cut at the end does not count.

    Raises UserError if a line is none of ours. No file is a run before its first tick.
    """
    if not path.exists():
        return []
    lines = path.read_text("utf-8", errors="replace").split("\n")
    rows = [parse_row(line) for line in lines[:-1]]  # a whole line ends with a newline
    if None in rows:
        raise UserError(
            f"{path}, line {rows.index(None) + 1} is not a line of statistics. Remove "
            "it, or resume the run, which repairs the file."
        )
    return [row for row in rows if row is not None]


def parse_row(line: str) -> Row | None:
    """Return the numbers of a line of stats.jsonl; None if it is damaged.

    Losses may be not finite, but never the number of images or the schedule.
    """
    try:
        row = {
            name: float(value)
            for name, value in json.loads(line).items()
            if isinstance(value, (int, float))
        }
        known = row["images_seen"] >= 0 and all(
            math.isfinite(value)
            for name, value in row.items()
            if name == "images_seen" or name.startswith("schedule/")
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return row if known else None


WINDOW = 16  # iterations; means of fewer are noise
WARMUP = 96  # iterations; in the first 100 or so good trainings swing widely as well
MIN_DURATION = 48  # iterations that a symptom must last: three windows
MIN_ITERATIONS = WARMUP + MIN_DURATION  # iterations; before them it is too early to tell


@dataclass(frozen=True, slots=True)
class Window:
    """Means over a stretch of training at one resolution.

    `start` and `end` count iterations, one of which is a generator step.
    """

    start: float
    end: float
    start_kimg: float
    end_kimg: float
    resolution: float
    alpha: float
    means: Row

    def get(self, name: str) -> float | None:
        return self.means.get(name)

    def all(self, *names: str) -> list[float] | None:
        """The means of these names, or None if one is missing."""
        values = [self.means[name] for name in names if name in self.means]
        return values if len(values) == len(names) else None

    @property
    def fading(self) -> bool:
        return self.alpha < 1


Holds = Callable[[Window], bool | None]  # None: not known


def join_windows(history: History) -> list[Window]:
    """Join ticks to windows of at least `WINDOW` iterations; a shorter rest is left out.

    A window ends early where the resolution changes.
    """
    found: list[Window] = []
    open_ticks: list[_Tick] = []
    for tick in _ticks(history):
        if open_ticks and tick.row.get("schedule/resolution") != (
            open_ticks[-1].row.get("schedule/resolution")
        ):
            found.append(_joined(open_ticks))
            open_ticks = []
        open_ticks.append(tick)
        if tick.end - open_ticks[0].start >= WINDOW:
            found.append(_joined(open_ticks))
            open_ticks = []
    return found


def after_warmup(course: Sequence[Window]) -> list[Window]:
    """The windows that can be judged."""
    return [window for window in course if window.end > WARMUP]


def lasting_streak(
    course: Sequence[Window], holds: Holds, iterations: float = MIN_DURATION
) -> list[Window]:
    """The newest windows, without a gap, of which something holds; none if they are too few.

    Only settled windows count, but what began before may have begun before. Windows of which it
    is not known are passed over.
    """
    found = trailing_streak(course, holds)
    counted = after_warmup(found)
    return found if counted and counted[-1].end - counted[0].start >= iterations else []


def trailing_streak(course: Sequence[Window], holds: Holds) -> list[Window]:
    """The newest windows, without a gap, of which something holds."""
    found: list[Window] = []
    for window in reversed(course):
        answer = holds(window)
        if answer is False:
            break
        if answer:
            found.insert(0, window)
    return found


@dataclass(frozen=True, slots=True)
class _Tick:
    start: float
    end: float
    start_images: float
    row: Row


def _ticks(history: History) -> Iterator[_Tick]:
    images = iterations = 0.0
    for row in history.rows:
        shown = max(row["images_seen"] - images, 0.0)
        steps = shown / (max(row.get("schedule/batch", 1.0), 1.0) * history.d_repeats)
        yield _Tick(iterations, iterations + steps, images, row)
        images, iterations = row["images_seen"], iterations + steps


def _joined(ticks: Sequence[_Tick]) -> Window:
    first, last = ticks[0], ticks[-1]
    return Window(
        first.start,
        last.end,
        first.start_images / 1000,
        last.row["images_seen"] / 1000,
        last.row.get("schedule/resolution", 0.0),
        last.row.get("schedule/alpha", 1.0),
        _means(ticks),
    )


def _means(ticks: Sequence[_Tick]) -> Row:
    """Means of each finite statistic, weighted by iterations."""
    names = dict.fromkeys(name for tick in ticks for name in tick.row)
    means = {}
    for name in names:
        pairs = [
            (tick.row[name], tick.end - tick.start)
            for tick in ticks
            if math.isfinite(tick.row.get(name, math.nan))
        ]
        weight = sum(w for _, w in pairs)
        if weight:
            means[name] = sum(value * w for value, w in pairs) / weight
    return means
