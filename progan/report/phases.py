"""The section of the growth: what was trained when, how fast and for how long."""

from collections.abc import Sequence
from typing import NamedTuple

from progan import schedule
from progan.config import Network
from progan.diagnosis.curves import Span, spans
from progan.diagnosis.history import Row
from progan.report.markup import Markup, table
from progan.report.material import Material
from progan.runtime.log import human_rate, human_seconds
from progan.schedule import Phase
from progan.training.progress import size_words

HEADINGS = ("resolution", "", "kimg", "batch", "images/s", "time", "")
UNKNOWN = "–"


class Clock(NamedTuple):
    """A moment of the training."""

    kimg: float
    hours: float


def section(material: Material) -> Markup:
    """A row for each phase, also of those to come."""
    growth, network = material.run.growth, material.run.network
    return table(HEADINGS, [_row(phase, network, material.rows)
                            for phase in schedule.phases(growth, network)], brief=True)


def shaded(material: Material) -> list[Span]:
    """The phases behind the curves: by the schedule, or by the ticks if it is not known."""
    if material.settings is None:
        return spans(material.rows)
    growth, network = material.settings.growth, material.settings.network
    return [Span(phase.start_kimg, min(phase.end_kimg, material.kimg), phase.stage.resolution,
                 phase.stage.fading)
            for phase in schedule.phases(growth, network) if phase.start_kimg < material.kimg]


def hours_at(kimg: float, rows: Sequence[Row]) -> float | None:
    """How long it had been trained then, between two ticks in proportion; None if not known."""
    clocks = [Clock(0.0, 0.0), *(Clock(row["images_seen"] / 1000, row["progress/hours"])
                                 for row in rows if "progress/hours" in row)]
    for before, after in zip(clocks, clocks[1:], strict=False):
        if before.kimg <= kimg <= after.kimg and after.kimg > before.kimg:
            share = (kimg - before.kimg) / (after.kimg - before.kimg)
            return before.hours + share * (after.hours - before.hours)
    return None


def _row(phase: Phase, network: Network, rows: Sequence[Row]) -> list[str]:
    now = rows[-1]["images_seen"] / 1000 if rows else 0.0
    state = ("done" if phase.end_kimg <= now else
             "now" if phase.start_kimg < now else "to come")
    return [size_words(phase.stage, network), "fading in" if phase.stage.fading else "stable",
            f"{phase.start_kimg:g}–{phase.end_kimg:g}", f"{phase.stage.batch}",
            _speed(phase, rows), _time(phase, now, rows), state]


def _speed(phase: Phase, rows: Sequence[Row]) -> str:
    """Mean of the ticks that ended in the phase."""
    speeds = [row["speed/images-per-second"] for row in rows
              if phase.start_kimg < row["images_seen"] / 1000 <= phase.end_kimg
              and "speed/images-per-second" in row]
    return human_rate(sum(speeds) / len(speeds)) if speeds else UNKNOWN


def _time(phase: Phase, now: float, rows: Sequence[Row]) -> str:
    if phase.start_kimg >= now:
        return UNKNOWN
    begin, end = hours_at(phase.start_kimg, rows), hours_at(min(phase.end_kimg, now), rows)
    return UNKNOWN if begin is None or end is None else human_seconds((end - begin) * 3600)
