"""Do the pictures differ from each other as reals do?"""

import statistics
from collections.abc import Sequence

from progan.diagnosis.coverage import missing
from progan.diagnosis.findings import Course, Found
from progan.diagnosis.windows import Window, lasting, settled

NEAREST, DISTANCE = "diversity/nearest", "diversity/distance"
COLLAPSED = 0.3  # measured: collapsed trainings 0.01 to 0.15, others 0.5 to 1.1
FALLEN = 0.5  # or half of what it was, below half of the reals'
SPREADING = 1.4  # times as diverse in each third of a stretch as in the one before


def diversity_missing(course: Course) -> str:
    """Why the diversity of the pictures is not known; '' if it is."""
    return missing(course.windows, NEAREST)


def mode_collapse(course: Course) -> Found | None:
    """The pictures repeat each other: nearest neighbours lie far closer than among reals."""
    known = [value for window in settled(course.windows)
             if (value := window.get(NEAREST)) is not None]
    if not known:
        return None
    limit = max(COLLAPSED, min(FALLEN, max(known) / 2))

    def holds(window: Window) -> bool | None:
        nearest = window.get(NEAREST)
        return None if nearest is None else nearest < limit

    stretch = lasting(course.windows, holds)
    if not stretch or _spreading(stretch):
        return None
    last = stretch[-1]
    best = f", {max(known):.2g} at best" if max(known) > limit else ""
    distance = last.get(DISTANCE)
    return Found(stretch[0].start_kimg, (
        f"nearest neighbours among pictures are {last.means[NEAREST]:.2g} times as far apart as "
        f"among reals (below {limit:.2g}{best})",
        *([f"pairs of pictures {distance:.2g} times"] if distance is not None else []),
        *_swing_words(stretch)))


def _spreading(stretch: Sequence[Window]) -> bool:
    """Whether a young generator is still on its way from one picture to many."""
    third = len(stretch) // 3
    if not third:
        return False
    early, middle, late = (statistics.median(window.means[NEAREST] for window in part) for part in (
        stretch[:third], stretch[third:-third], stretch[-third:]))
    return middle > SPREADING * early and late > SPREADING * middle


def _swing_words(stretch: Sequence[Window]) -> tuple[str, ...]:
    """How much the loss of G swings from window to window, as it does where modes are hunted."""
    losses = [loss for window in stretch if (loss := window.get("loss/generator")) is not None]
    if len(losses) < 3:
        return ()
    return (f"loss of G swings by {statistics.stdev(losses):.2g} around "
            f"{statistics.fmean(losses):.2g}",)
