"""Gradients that die or run away, and numbers that are none."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from progan.diagnosis.coverage import any_of, missing
from progan.diagnosis.findings import Course, Found
from progan.diagnosis.windows import Window, lasting

NORMS = {"gradient/generator-weights": "G", "gradient/critic-weights": "D"}
SLOPE = "gradient/norm"

VANISHED = 0.01  # of what it was at this resolution; good trainings keep more than 5 %
EXPLODED = 30.0  # times the median at this resolution; good trainings vary less than tenfold
PENALISED = ("wgan-gp", "dragan")  # objectives whose penalty asks for a slope
STEEP = 3.0  # times the slope that the gradient penalty asks for
FEWEST = 4  # windows that say what is usual


def norms_missing(course: Course) -> str:
    """Why no gradient norm can be compared with the usual one; '' if one can."""
    return any_of([_norm_missing(course, name) for name in NORMS])


def norms_and_slope_missing(course: Course) -> str:
    """As norms_missing; for a gradient penalty the slope of D is enough."""
    reasons = [norms_missing(course)]
    if course.objective.objective in PENALISED:
        reasons.append(missing(course.windows, SLOPE))
    return any_of(reasons)


def vanishing(course: Course) -> Found | None:
    """The gradient of a network has died away: it learns nothing any more."""
    return _first(_changed(course, name, lambda norm, usual: norm < VANISHED * usual, _high)
                  for name in NORMS)


def exploding(course: Course) -> Found | None:
    """The gradient of a network is far beyond the usual, or the penalty has lost the slope."""
    return _first([*(_changed(course, name, lambda norm, usual: norm > EXPLODED * usual,
                              statistics.median) for name in NORMS), _steep(course)])


def non_finite(course: Course) -> Found | None:
    """The last tick has numbers that are none, or the guard met some since."""
    if fault := course.history.fault:
        return Found(fault.images_seen / 1000, (f"{fault.what} (more in {fault.file})",))
    rows = course.history.rows
    bad = [name for name, value in rows[-1].items() if not math.isfinite(value)] if rows else []
    if not bad:
        return None
    return Found(rows[-1]["images_seen"] / 1000, (f"not finite: {', '.join(sorted(bad))}",))


def _changed(course: Course, name: str, differs: Callable[[float, float], bool],
             usual_of: Callable[[Sequence[float]], float]) -> Found | None:
    """A norm that for a while has been unlike what is usual at this resolution."""
    here = _comparable(course, name)
    if len(here) <= FEWEST:
        return None
    usual = usual_of([window.means[name] for window in here])
    stretch = lasting(here, lambda window: differs(window.means[name], usual))
    if not stretch:
        return None
    return Found(stretch[0].start_kimg, (
        f"gradient of {NORMS[name]} {stretch[-1].means[name]:.2g}, usual at this resolution "
        f"{usual:.2g}",))


def _comparable(course: Course, name: str) -> list[Window]:
    """The windows with this norm at the present resolution, without its fade."""
    return [window for window in course.windows if name in window.means and not window.fading
            and window.resolution == course.windows[-1].resolution]


def _norm_missing(course: Course, name: str) -> str:
    here = _comparable(course, name)
    if (why := missing(course.windows, name)) or len(here) > FEWEST and not missing(here, name):
        return why
    return "needs more iterations at this resolution, faded in"


def _steep(course: Course) -> Found | None:
    """The critic is far steeper than its penalty asks for."""
    if course.objective.objective not in PENALISED:
        return None
    target = course.objective.gp_target

    def holds(window: Window) -> bool | None:
        slope = window.get(SLOPE)
        return None if slope is None else slope > STEEP * target

    stretch = lasting(course.windows, holds)
    if not stretch:
        return None
    return Found(stretch[0].start_kimg, (
        f"slope of D {stretch[-1].means[SLOPE]:.3g}, the penalty asks for {target:g}",))


def _high(values: Sequence[float]) -> float:
    """As high as it often was (the ninetieth percentile), unless that was an explosion."""
    often = sorted(values)[int(0.9 * (len(values) - 1))]
    return min(often, 10 * statistics.median(values))


def _first(found: Iterable[Found | None]) -> Found | None:
    return next((one for one in found if one is not None), None)
