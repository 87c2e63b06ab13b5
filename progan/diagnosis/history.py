"""History of a training: statistics per tick, joined to windows of iterations."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from progan.config import LossConfig, Run
from progan.errors import UserError
from progan.run_directory import ROLLBACK_PREFIX, STATISTICS_FILE, get_start_time_ns, load_config

Row = Mapping[str, float]  # statistics of a tick, by name; 'images_seen' is where it ended


class Rollback(NamedTuple):
    """A rollback of the training: its place, its reason, and its file with details."""

    images_seen: float
    what: str
    file: str


@dataclass(frozen=True, slots=True)
class History:
    """The ticks of a run, oldest first, and the settings that say how to read them."""

    rows: Sequence[Row]
    loss: LossConfig = field(default_factory=LossConfig)
    d_repeats: int = 1  # discriminator steps per generator step
    rollback: Rollback | None = None  # since the last tick
    final_resolution: float = 0.0  # that the networks grow to; 0: unknown

    @classmethod
    def of_run(cls, rows: Sequence[Row], run: Run, rollback: Rollback | None = None) -> "History":
        """Join ticks with the settings of their run."""
        return cls(
            rows, run.loss, run.growth.d_repeats, rollback, float(1 << run.network.max_level)
        )


def read_history(directory: Path) -> History:
    """Read the history of a run; raises UserError if config.json or stats.jsonl is unusable."""
    run = load_config(directory)
    return build_history(directory, run, read_rows(directory / STATISTICS_FILE))


def build_history(directory: Path, run: Run, rows: Sequence[Row]) -> History:
    """Join ticks with the settings of their run, and with its newest rollback after them."""
    ended_at = rows[-1]["images_seen"] if rows else 0.0
    started_at = get_start_time_ns(directory)  # a resume undoes what was before
    rollbacks = [
        rollback
        for path in sorted(directory.glob(f"{ROLLBACK_PREFIX}*.json"))
        if (rollback := _read_rollback(path, started_at)) and rollback.images_seen > ended_at
    ]
    return History.of_run(rows, run, rollbacks[-1] if rollbacks else None)


def _read_rollback(path: Path, started_at: int) -> Rollback | None:
    """Read rollback-NN.json; None if it is damaged, or was written before `started_at` (ns)."""
    try:
        if path.stat().st_mtime_ns < started_at:
            return None
        content = json.loads(path.read_text("utf-8"))
        return Rollback(float(content["images_seen"]), str(content["what"]), path.name)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_rows(path: Path) -> list[Row]:
    """Read stats.jsonl without an incomplete last line; [] if the file does not exist yet.

    Raises UserError if another line is damaged.
    """
    if not path.exists():
        return []
    lines = path.read_text("utf-8", errors="replace").split("\n")
    rows = [parse_row(line) for line in lines[:-1]]  # a complete line ends with a newline
    if None in rows:
        raise UserError(
            f"{path}, line {rows.index(None) + 1} is not a line of statistics. Remove "
            "it, or resume the run, which repairs the file."
        )
    return [row for row in rows if row is not None]


def parse_row(line: str) -> Row | None:
    """Parse a line of stats.jsonl; None if it is damaged.

    Images seen and schedule must be finite; losses need not.
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


WINDOW = 16  # iterations; means of fewer are noisy
WARMUP = 96  # iterations; in the first 100 good trainings swing widely, too
MIN_DURATION = 48  # iterations that a symptom must last: three windows
MIN_ITERATIONS = WARMUP + MIN_DURATION  # iterations; before them the curves say nothing


@dataclass(frozen=True, slots=True)
class Window:
    """Means of statistics over some iterations at one resolution.

    `start` and `end` count iterations (generator steps).
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
        """Return the means of these statistics, or None if one is missing."""
        values = [self.means[name] for name in names if name in self.means]
        return values if len(values) == len(names) else None

    @property
    def fading(self) -> bool:
        return self.alpha < 1


def join_windows(history: History) -> list[Window]:
    """Join ticks to windows of at least `WINDOW` iterations, without a shorter rest.

    A window ends early where the resolution changes.
    """
    found: list[Window] = []
    open_ticks: list[_Tick] = []
    for tick in _count_tick_iterations(history):
        if open_ticks and tick.row.get("schedule/resolution") != (
            open_ticks[-1].row.get("schedule/resolution")
        ):
            found.append(_join_ticks(open_ticks))
            open_ticks = []
        open_ticks.append(tick)
        if tick.end - open_ticks[0].start >= WINDOW:
            found.append(_join_ticks(open_ticks))
            open_ticks = []
    return found


def select_after_warmup(run_windows: Sequence[Window]) -> list[Window]:
    """Return the windows that end after the warm-up."""
    return [window for window in run_windows if window.end > WARMUP]


def count_iterations_after_warmup(run_windows: Sequence[Window]) -> float:
    """Return the iterations after the warm-up from the first of these windows to the last."""
    counted = select_after_warmup(run_windows)
    return counted[-1].end - max(counted[0].start, WARMUP) if counted else 0.0


def find_lasting_streak(
    run_windows: Sequence[Window],
    names: Sequence[str],
    condition: Callable[[Window], bool],
    iterations: float = MIN_DURATION,
) -> list[Window]:
    """Return the newest consecutive windows that meet a condition, or [] if they are too short.

    Only their part after the warm-up counts for the duration.

    Args:
        names: Statistics that the condition needs; windows without them are skipped.
    """
    known = [window for window in run_windows if window.all(*names) is not None]
    streak = find_trailing_streak(known, condition)
    return streak if count_iterations_after_warmup(streak) >= iterations else []


def find_trailing_streak(
    run_windows: Sequence[Window], condition: Callable[[Window], bool]
) -> list[Window]:
    """Return the newest consecutive windows that meet a condition, oldest first."""
    return list(takewhile(condition, reversed(run_windows)))[::-1]


@dataclass(frozen=True, slots=True)
class _Tick:
    start: float
    end: float
    start_images: float
    row: Row


def _count_tick_iterations(history: History) -> Iterator[_Tick]:
    images = iterations = 0.0
    for row in history.rows:
        shown = max(row["images_seen"] - images, 0.0)
        steps = shown / (max(row.get("schedule/batch", 1.0), 1.0) * history.d_repeats)
        yield _Tick(iterations, iterations + steps, images, row)
        images, iterations = row["images_seen"], iterations + steps


def _join_ticks(ticks: Sequence[_Tick]) -> Window:
    first, last = ticks[0], ticks[-1]
    return Window(
        first.start,
        last.end,
        first.start_images / 1000,
        last.row["images_seen"] / 1000,
        last.row.get("schedule/resolution", 0.0),
        last.row.get("schedule/alpha", 1.0),
        _average_statistics(ticks),
    )


def _average_statistics(ticks: Sequence[_Tick]) -> Row:
    """Average each statistic over its finite values, weighted by iterations."""
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
