"""Which checks the statistics of a run allow, and of which stretch of training."""

from collections.abc import Sequence
from typing import NamedTuple

from progan.diagnosis.history import History
from progan.diagnosis.windows import BRIEF, FIRST_STATUS, SETTLED, Window, settled

EARLY_KIMG = 10.0  # no preset trains for less than 28 kimg; samples are seldom recognisable before


class Coverage(NamedTuple):
    """What a diagnosis is based on.

    Attributes:
        checked: Names of the symptoms that could have been found.
        unchecked: The others, each with the reason.
        start_kimg, end_kimg: The stretch of training whose curves were looked at.
        iterations: Generator steps so far.
        early: Why samples cannot be expected to be good yet; '' if nothing is known against it.
    """

    checked: tuple[str, ...]
    unchecked: tuple[tuple[str, str], ...]
    start_kimg: float
    end_kimg: float
    iterations: float
    early: str

    @property
    def long_enough(self) -> bool:
        """Whether the run has the iterations that the checks need."""
        return self.iterations >= FIRST_STATUS


def cover(history: History, course: Sequence[Window], unchecked: Sequence[tuple[str, str]]
          ) -> Coverage:
    """Sum up what was looked at; `unchecked` are all symptoms, with '' for those checked."""
    counted = settled(course)
    end = history.rows[-1]["images_seen"] / 1000 if history.rows else 0.0
    return Coverage(
        checked=tuple(name for name, why in unchecked if not why),
        unchecked=tuple((name, why) for name, why in unchecked if why),
        start_kimg=counted[0].start_kimg if counted else 0.0,
        end_kimg=counted[-1].end_kimg if counted else end,
        iterations=course[-1].end if course else 0.0, early=_early(history))


def missing(course: Sequence[Window], *names: str, iterations: float = BRIEF) -> str:
    """Why something about these statistics cannot be checked; '' if it can."""
    absent = [name for name in names if not any(name in window.means for window in course)]
    if absent:
        return f"no {', '.join(absent)} in the statistics"
    known = [window for window in settled(course) if window.all(*names) is not None]
    if not known or known[-1].end - known[0].start < iterations:
        return f"needs {iterations:g} iterations after the first {SETTLED:g}"
    return ""


def any_of(reasons: Sequence[str]) -> str:
    """'' if one of several statistics is enough and known, else the first reason."""
    return "" if "" in reasons else reasons[0]


def _early(history: History) -> str:
    if not history.rows:
        return ""
    last, final = history.rows[-1], history.final_resolution
    kimg, resolution = last["images_seen"] / 1000, last.get("schedule/resolution", 0.0)
    reasons = [f"the networks are at resolution {resolution:g} of {final:g}"
               ] if 0 < resolution < final else []
    if kimg < EARLY_KIMG:
        reasons.append(f"only {kimg:.1f} kimg of images were shown")
    return ", and ".join(reasons)
