"""Statistics in windows of a least length, so that a status does not depend on the ticks."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from progan.diagnosis.history import History, Row

WINDOW = 16  # iterations; means of fewer are noise
SETTLED = 96  # iterations; in the first 100 or so good trainings swing widely as well
BRIEF = 48  # iterations that a symptom must last: three windows
FIRST_STATUS = SETTLED + BRIEF  # iterations; before them it is too early to tell


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


def windows(history: History) -> list[Window]:
    """Join ticks to windows of at least `WINDOW` iterations; a shorter rest is left out.

    A window ends early where the resolution changes.
    """
    found: list[Window] = []
    open_ticks: list[_Tick] = []
    for tick in _ticks(history):
        if open_ticks and tick.row.get("schedule/resolution") != (
                open_ticks[-1].row.get("schedule/resolution")):
            found.append(_joined(open_ticks))
            open_ticks = []
        open_ticks.append(tick)
        if tick.end - open_ticks[0].start >= WINDOW:
            found.append(_joined(open_ticks))
            open_ticks = []
    return found


def settled(course: Sequence[Window]) -> list[Window]:
    """The windows that can be judged."""
    return [window for window in course if window.end > SETTLED]


def lasting(course: Sequence[Window], holds: Holds, iterations: float = BRIEF) -> list[Window]:
    """The newest windows, without a gap, of which something holds; none if they are too few.

    Only settled windows count, but what began before may have begun before. Windows of which it
    is not known are passed over.
    """
    found = newest(course, holds)
    counted = settled(found)
    return found if counted and counted[-1].end - counted[0].start >= iterations else []


def newest(course: Sequence[Window], holds: Holds) -> list[Window]:
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
    return Window(first.start, last.end, first.start_images / 1000, last.row["images_seen"] / 1000,
                  last.row.get("schedule/resolution", 0.0), last.row.get("schedule/alpha", 1.0),
                  _means(ticks))


def _means(ticks: Sequence[_Tick]) -> Row:
    """Means of each finite statistic, weighted by iterations."""
    names = dict.fromkeys(name for tick in ticks for name in tick.row)
    means = {}
    for name in names:
        pairs = [(tick.row[name], tick.end - tick.start) for tick in ticks
                 if math.isfinite(tick.row.get(name, math.nan))]
        weight = sum(w for _, w in pairs)
        if weight:
            means[name] = sum(value * w for value, w in pairs) / weight
    return means
