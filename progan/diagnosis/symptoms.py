"""Symptoms in gradients and samples: exploding gradients, mode collapse, overfitting and others."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from progan.diagnosis.history import Window, after_warmup, lasting_streak, trailing_streak
from progan.diagnosis.status import Detection, RunWindows, missing_statistics, reason_if_none_known

NORMS = {"gradient/generator-weights": "G", "gradient/critic-weights": "D"}
SLOPE = "gradient/norm"

VANISHED = 0.01  # of what it was at this resolution; good trainings keep more than 5 %
EXPLODED = 30.0  # times the median at this resolution; good trainings vary less than tenfold
PENALISED = ("wgan-gp", "dragan")  # objectives whose penalty asks for a slope
STEEP = 3.0  # times the slope that the gradient penalty asks for
FEWEST = 4  # windows that say what is usual


def missing_for_norms(course: RunWindows) -> str:
    """Why no gradient norm can be compared with the usual one; '' if one can."""
    return reason_if_none_known([_norm_missing(course, name) for name in NORMS])


def missing_for_norms_and_slope(course: RunWindows) -> str:
    """As norms_missing; for a gradient penalty the slope of D is enough."""
    reasons = [missing_for_norms(course)]
    if course.objective.objective in PENALISED:
        reasons.append(missing_statistics(course.windows, SLOPE))
    return reason_if_none_known(reasons)


def detect_vanishing(course: RunWindows) -> Detection | None:
    """The gradient of a network has died away: it learns nothing any more."""
    return _first(
        _changed(course, name, lambda norm, usual: norm < VANISHED * usual, _high) for name in NORMS
    )


def detect_exploding(course: RunWindows) -> Detection | None:
    """The gradient of a network is far beyond the usual, or the penalty has lost the slope."""
    return _first(
        [
            *(
                _changed(
                    course, name, lambda norm, usual: norm > EXPLODED * usual, statistics.median
                )
                for name in NORMS
            ),
            _steep(course),
        ]
    )


def detect_non_finite(course: RunWindows) -> Detection | None:
    """The last tick has numbers that are none, or the guard met some since."""
    if fault := course.history.rollback:
        return Detection(fault.images_seen / 1000, (f"{fault.what} (more in {fault.file})",))
    rows = course.history.rows
    bad = [name for name, value in rows[-1].items() if not math.isfinite(value)] if rows else []
    if not bad:
        return None
    return Detection(rows[-1]["images_seen"] / 1000, (f"not finite: {', '.join(sorted(bad))}",))


def _changed(
    course: RunWindows,
    name: str,
    differs: Callable[[float, float], bool],
    usual_of: Callable[[Sequence[float]], float],
) -> Detection | None:
    """A norm that for a while has been unlike what is usual at this resolution."""
    here = _comparable(course, name)
    if len(here) <= FEWEST:
        return None
    usual = usual_of([window.means[name] for window in here])
    stretch = lasting_streak(here, lambda window: differs(window.means[name], usual))
    if not stretch:
        return None
    return Detection(
        stretch[0].start_kimg,
        (
            f"gradient of {NORMS[name]} {stretch[-1].means[name]:.2g}, usual at this resolution "
            f"{usual:.2g}",
        ),
    )


def _comparable(course: RunWindows, name: str) -> list[Window]:
    """The windows with this norm at the present resolution, without its fade."""
    return [
        window
        for window in course.windows
        if name in window.means
        and not window.fading
        and window.resolution == course.windows[-1].resolution
    ]


def _norm_missing(course: RunWindows, name: str) -> str:
    here = _comparable(course, name)
    if (
        (why := missing_statistics(course.windows, name))
        or len(here) > FEWEST
        and not missing_statistics(here, name)
    ):
        return why
    return "needs more iterations at this resolution, faded in"


def _steep(course: RunWindows) -> Detection | None:
    """The critic is far steeper than its penalty asks for."""
    if course.objective.objective not in PENALISED:
        return None
    target = course.objective.gp_target

    def holds(window: Window) -> bool | None:
        slope = window.get(SLOPE)
        return None if slope is None else slope > STEEP * target

    stretch = lasting_streak(course.windows, holds)
    if not stretch:
        return None
    return Detection(
        stretch[0].start_kimg,
        (f"slope of D {stretch[-1].means[SLOPE]:.3g}, the penalty asks for {target:g}",),
    )


def _high(values: Sequence[float]) -> float:
    """As high as it often was (the ninetieth percentile), unless that was an explosion."""
    often = sorted(values)[int(0.9 * (len(values) - 1))]
    return min(often, 10 * statistics.median(values))


def _first(found: Iterable[Detection | None]) -> Detection | None:
    return next((one for one in found if one is not None), None)


NEAREST, DISTANCE = "diversity/nearest", "diversity/distance"
COLLAPSED = 0.3  # measured: collapsed trainings 0.01 to 0.15, others 0.5 to 1.1
FALLEN = 0.5  # or half of what it was, below half of the reals'
SPREADING = 1.4  # times as diverse in each third of a stretch as in the one before


def missing_for_diversity(course: RunWindows) -> str:
    """Why the diversity of the pictures is not known; '' if it is."""
    return missing_statistics(course.windows, NEAREST)


def detect_mode_collapse(course: RunWindows) -> Detection | None:
    """The pictures repeat each other: nearest neighbours lie far closer than among reals."""
    known = [
        value
        for window in after_warmup(course.windows)
        if (value := window.get(NEAREST)) is not None
    ]
    if not known:
        return None
    limit = max(COLLAPSED, min(FALLEN, max(known) / 2))

    def holds(window: Window) -> bool | None:
        nearest = window.get(NEAREST)
        return None if nearest is None else nearest < limit

    stretch = lasting_streak(course.windows, holds)
    if not stretch or _spreading(stretch):
        return None
    last = stretch[-1]
    best = f", {max(known):.2g} at best" if max(known) > limit else ""
    distance = last.get(DISTANCE)
    return Detection(
        stretch[0].start_kimg,
        (
            f"nearest neighbours among images are {last.means[NEAREST]:.2g} times as far apart "
            f"as among reals (below {limit:.2g}{best})",
            *([f"pairs of pictures {distance:.2g} times"] if distance is not None else []),
            *_swing_words(stretch),
        ),
    )


def _spreading(stretch: Sequence[Window]) -> bool:
    """Whether a young generator is still on its way from one picture to many."""
    third = len(stretch) // 3
    if not third:
        return False
    early, middle, late = (
        statistics.median(window.means[NEAREST] for window in part)
        for part in (stretch[:third], stretch[third:-third], stretch[-third:])
    )
    return middle > SPREADING * early and late > SPREADING * middle


def _swing_words(stretch: Sequence[Window]) -> tuple[str, ...]:
    """How much the loss of G swings from window to window, as it does where modes are hunted."""
    losses = [loss for window in stretch if (loss := window.get("loss/generator")) is not None]
    if len(losses) < 3:
        return ()
    return (
        f"loss of G swings by {statistics.stdev(losses):.2g} around {statistics.fmean(losses):.2g}",
    )


JUMPED = 10.0  # times the gradient before the fade; good fades of the demo stay below 3.5
OVERFITTED = 0.5  # StyleGAN2-ADA's r_v: held-out images look half like pictures
LONG = 200  # iterations: r_v of a few hundred images is noisy
WAIT = "speed/data-wait-percent"
SCORES = ("overfitting/training", "overfitting/held-out", "overfitting/fake")
STARVED = 10.0  # percent of the time in which the networks wait for images


def missing_for_fade(course: RunWindows) -> str:
    """Why a fade cannot be compared with what was before it; '' if it can."""
    if not course.windows or not course.windows[-1].fading:
        return "no fade now"
    calm, fade = _before_fade(course)
    if calm is None:
        return "nothing was trained before the fade"
    known = any(name in calm.means and name in fade[-1].means for name in (*NORMS, NEAREST))
    return (
        ""
        if known
        else reason_if_none_known(
            [missing_statistics(course.windows, name) for name in (*NORMS, NEAREST)]
        )
    )


def missing_for_overfitting(course: RunWindows) -> str:
    """Why training and held-out images cannot be compared; '' if they can."""
    if not any(SCORES[1] in window.means for window in course.windows):
        return "no held-out images"
    return missing_statistics(course.windows, *SCORES, iterations=LONG)


def missing_for_starvation(course: RunWindows) -> str:
    """Why it is not known how long training waits for data; '' if it is."""
    return missing_statistics(course.windows, WAIT)


def detect_fade_shock(course: RunWindows) -> Detection | None:
    """The layers that are being faded in upset what was learned before."""
    calm, fade = _before_fade(course)
    if calm is None:
        return None
    stretch = trailing_streak(fade, lambda window: bool(_shocks(calm, window)))
    if not stretch:
        return None
    return Detection(stretch[0].start_kimg, tuple(_shocks(calm, stretch[-1])))


def detect_overfitting(course: RunWindows) -> Detection | None:
    """D knows the training images by heart: held-out ones look like pictures to it."""

    def holds(window: Window) -> bool | None:
        scores = window.all(*SCORES)
        if scores is None:
            return None
        training, held_out, fake = scores
        return training > fake and training - held_out >= OVERFITTED * (training - fake)

    stretch = lasting_streak(course.windows, holds, LONG)
    if len(stretch) < 2:
        return None
    last = stretch[-1].means
    ratio = (last["overfitting/training"] - last["overfitting/held-out"]) / (
        last["overfitting/training"] - last["overfitting/fake"]
    )
    return Detection(
        stretch[0].start_kimg,
        (
            f"mean score of training images {last['overfitting/training']:.3g}, of held-out ones "
            f"{last['overfitting/held-out']:.3g}, of pictures {last['overfitting/fake']:.3g}",
            f"r_v {ratio:.2g} (0 is none, 1 is all; from {OVERFITTED:g} on it is much)",
        ),
    )


def detect_starvation(course: RunWindows) -> Detection | None:
    """The networks wait for data."""

    def holds(window: Window) -> bool | None:
        wait = window.get(WAIT)
        return None if wait is None else wait > STARVED

    stretch = lasting_streak(course.windows, holds)
    if not stretch:
        return None
    wait = stretch[-1].means[WAIT]
    return Detection(
        stretch[0].start_kimg,
        (f"training waits for images {wait:.0f} % of the time (above {STARVED:g} %)",),
    )


def _before_fade(course: RunWindows) -> tuple[Window | None, list[Window]]:
    """The last window before the present fade, None without one, and those since."""
    if not course.windows or not course.windows[-1].fading:
        return None, []
    resolution = course.windows[-1].resolution
    fade = [window for window in course.windows if window.resolution == resolution]
    before = [window for window in course.windows if window.end <= fade[0].start]
    return (before[-1] if before else None), fade


def _shocks(calm: Window, window: Window) -> list[str]:
    """What has jumped since before the fade, in words."""
    found = []
    for name, network in NORMS.items():
        pair = calm.get(name), window.get(name)
        if pair[0] is not None and pair[1] is not None and pair[1] > JUMPED * pair[0] > 0:
            found.append(f"gradient of {network} {pair[1]:.2g}, {pair[0]:.2g} before the fade")
    old, new = calm.get(NEAREST), window.get(NEAREST)
    if old is not None and new is not None and new < min(FALLEN, old / 2):
        found.append(
            f"nearest neighbours among pictures {new:.2g} times as far apart as among "
            f"reals, {old:.2g} before the fade"
        )
    return found
