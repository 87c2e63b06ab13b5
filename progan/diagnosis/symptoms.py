"""Symptoms in gradients, diversity, fades and data: exploding gradients, mode collapse, …"""

import bisect
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from progan.config import LossConfig
from progan.diagnosis.balance import SCORES
from progan.diagnosis.history import (
    Window,
    find_lasting_streak,
    find_trailing_streak,
    select_after_warmup,
)
from progan.diagnosis.status import (
    Detection,
    RunWindows,
    explain_missing_statistics,
    first_reason_if_all_missing,
)

NORMS = {"gradient/generator-weights": "G", "gradient/critic-weights": "D"}
SLOPE = "gradient/norm"

VANISHED = 0.01  # share of the usual norm at this resolution; good trainings keep > 5 %
EXPLODED = 30.0  # times the median at this resolution; good trainings vary less than 12-fold
PENALISED = ("wgan-gp", "dragan")  # losses with a target for the gradient norm of D
STEEP = 3.0  # times the slope at which loss and penalty balance
MIN_WINDOWS = 4  # that define the usual norm


def explain_missing_norms(run: RunWindows) -> str:
    """Return why no gradient norm can be compared with the usual one; '' if one can."""
    return first_reason_if_all_missing([_explain_missing_norm(run, name) for name in NORMS])


def explain_missing_norms_and_slope(run: RunWindows) -> str:
    """Return as explain_missing_norms; with a gradient penalty the slope of D suffices."""
    reasons = [explain_missing_norms(run)]
    if run.loss.objective in PENALISED:
        reasons.append(explain_missing_statistics(run.windows, SLOPE))
    return first_reason_if_all_missing(reasons)


def detect_vanishing_gradients(run: RunWindows) -> Detection | None:
    """Detect a network whose gradient norm fell far below its usual value."""
    return _first_detection(
        _detect_unusual_norm(
            run, name, lambda norm, usual: norm < VANISHED * usual, _get_clipped_percentile_90
        )
        for name in NORMS
    )


def detect_exploding_gradients(run: RunWindows) -> Detection | None:
    """Detect a norm far above its usual value, or a slope of D that its penalty should prevent."""
    norms = (
        _detect_unusual_norm(run, name, lambda norm, usual: norm > EXPLODED * usual, _get_median)
        for name in NORMS
    )
    return _first_detection(norms) or _detect_steep_discriminator(run)


def detect_non_finite_values(run: RunWindows) -> Detection | None:
    """Detect values that are not finite in the last tick, or a rollback since."""
    if rollback := run.history.rollback:
        evidence = f"{rollback.what} (more in {rollback.file})"
        return Detection(rollback.images_seen / 1000, (evidence,))
    rows = run.history.rows
    bad = [name for name, value in rows[-1].items() if not math.isfinite(value)] if rows else []
    if not bad:
        return None
    return Detection(rows[-1]["images_seen"] / 1000, (f"not finite: {', '.join(sorted(bad))}",))


def _detect_unusual_norm(
    run: RunWindows,
    name: str,
    differs: Callable[[float, float], bool],
    usual_of: Callable[[Sequence[float]], float],
) -> Detection | None:
    """Detect a norm that has differed from its usual value at this resolution for a while.

    Norms that differ from those before them do not count for what is usual: else a fault would
    become usual while it lasts.

    Args:
        usual_of: Of norms in ascending order.
    """
    here = _select_comparable_windows(run, name)
    if len(here) <= MIN_WINDOWS:
        return None
    normal: list[float] = []
    for norm in (window.means[name] for window in here):
        is_normal = len(normal) < MIN_WINDOWS or not differs(norm, usual_of(normal))
        if is_normal and math.isfinite(norm):
            bisect.insort(normal, norm)
    if not normal:
        return None
    usual = usual_of(normal)
    streak = find_lasting_streak(here, (), lambda window: differs(window.means[name], usual))
    if not streak:
        return None
    return Detection.of_streak(
        streak,
        f"gradient of {NORMS[name]} {streak[-1].means[name]:.2g}, usual at this resolution "
        f"{usual:.2g}",
    )


def _select_comparable_windows(run: RunWindows, name: str) -> list[Window]:
    """Return the windows with this norm at the current resolution, without its fade."""
    return [
        window
        for window in run.windows
        if name in window.means
        and not window.fading
        and window.resolution == run.windows[-1].resolution
    ]


def _explain_missing_norm(run: RunWindows, name: str) -> str:
    here = _select_comparable_windows(run, name)
    if why := explain_missing_statistics(run.windows, name):
        return why
    if len(here) > MIN_WINDOWS and not explain_missing_statistics(here, name):
        return ""
    return "needs more iterations at this resolution, faded in"


def _detect_steep_discriminator(run: RunWindows) -> Detection | None:
    """Detect a slope of D far above the one at which its loss and its penalty balance."""
    if run.loss.objective not in PENALISED:
        return None

    def is_steep(window: Window) -> bool:
        return window.means[SLOPE] > STEEP * _compute_balanced_slope(run.loss, window)

    streak = find_lasting_streak(run.windows, [SLOPE], is_steep)
    if not streak:
        return None
    balanced = _compute_balanced_slope(run.loss, streak[-1])
    return Detection.of_streak(
        streak,
        f"slope of D {streak[-1].means[SLOPE]:.3g}, {balanced:.3g} expected from its penalty "
        f"(target {run.loss.gp_target:g}, weight {run.loss.gp_weight:g})",
    )


def _compute_balanced_slope(loss: LossConfig, window: Window) -> float:
    """Return the slope of D that minimises its loss, all else being equal.

    With scores of slope s, the loss of wgan-gp is L(s) = -w s + gp_weight (s / gp_target - 1)^2 +
    r s^2, where w is the difference of the mean scores of reals and fakes per slope, and r s^2 the
    drift term. It is least where s is somewhat above the target, or far above if the weight is
    small. The other losses saturate, and keep the target.
    """
    slope, target, weight = window.means[SLOPE], loss.gp_target, loss.gp_weight
    scores = window.all(*SCORES)
    if loss.objective != "wgan-gp" or scores is None or slope <= 0:
        return target
    difference = max(scores[0] - scores[1], 0.0) / slope
    drift = max(window.get("loss/drift") or 0.0, 0.0) / slope**2
    curvature = weight / target**2 + drift
    # No penalty and no drift: any slope is as good.
    return (difference / 2 + weight / target) / curvature if curvature else math.inf


def _get_median(ascending: Sequence[float]) -> float:
    """Return the upper median of values in ascending order."""
    return ascending[len(ascending) // 2]


def _get_clipped_percentile_90(ascending: Sequence[float]) -> float:
    """Return the 90th percentile of values in ascending order, at most ten times the median."""
    return min(ascending[int(0.9 * (len(ascending) - 1))], 10 * _get_median(ascending))


def _first_detection(found: Iterable[Detection | None]) -> Detection | None:
    return next((one for one in found if one is not None), None)


NEAREST, DISTANCE = "diversity/nearest", "diversity/distance"
COLLAPSED = 0.3  # measured: collapsed trainings 0.01 to 0.15, others 0.5 to 1.1
FALLEN = 0.5  # below this, a fall to half of the maximum counts, too
SPREADING = 1.4  # growth of diversity from each third of a streak to the next


def detect_mode_collapse(run: RunWindows) -> Detection | None:
    """Detect images whose nearest neighbours are far closer than those of reals."""
    known = [
        value
        for window in select_after_warmup(run.windows)
        if (value := window.get(NEAREST)) is not None
    ]
    if not known:
        return None
    limit = max(COLLAPSED, min(FALLEN, max(known) / 2))

    streak = find_lasting_streak(
        run.windows, [NEAREST], lambda window: window.means[NEAREST] < limit
    )
    if not streak or _is_diversity_rising(streak):
        return None
    last = streak[-1]
    best = f", {max(known):.2g} at best" if max(known) > limit else ""
    distance = last.get(DISTANCE)
    return Detection.of_streak(
        streak,
        f"nearest neighbours among images are {last.means[NEAREST]:.2g} times as far apart "
        f"as among reals (below {limit:.2g}{best})",
        *([f"pairs of images {distance:.2g} times"] if distance is not None else []),
        *_format_swing(streak),
    )


def _is_diversity_rising(streak: Sequence[Window]) -> bool:
    """Return True if diversity still rises, as in a young generator."""
    third = len(streak) // 3
    if not third:
        return False
    early, middle, late = (
        statistics.median(window.means[NEAREST] for window in part)
        for part in (streak[:third], streak[third:-third], streak[-third:])
    )
    return middle > SPREADING * early and late > SPREADING * middle


def _format_swing(streak: Sequence[Window]) -> tuple[str, ...]:
    """Describe how the loss of G varies, as it does when modes alternate."""
    losses = [loss for window in streak if (loss := window.get("loss/generator")) is not None]
    if len(losses) < 3:
        return ()
    return (
        f"loss of G swings by {statistics.stdev(losses):.2g} around {statistics.fmean(losses):.2g}",
    )


JUMPED = 10.0  # times the gradient before the fade; good fades of the demo stay below 3.5
OVERFITTED = 0.5  # StyleGAN2-ADA's r_v: scores of held-out images are halfway to fakes
MIN_OVERFITTING_DURATION = 200  # iterations: r_v of a few hundred images is noisy
WAIT = "speed/data-wait-percent"
OVERFITTING_SCORES = ("overfitting/training", "overfitting/held-out", "overfitting/fake")
STARVED = 10.0  # percent of the time in which the networks wait for images


def explain_missing_for_fade(run: RunWindows) -> str:
    """Return why a fade cannot be compared with the time before it; '' if it can."""
    if not run.windows or not run.windows[-1].fading:
        return "no fade now"
    calm, fade = _split_windows_at_fade(run)
    if calm is None:
        return "nothing was trained before the fade"
    names = (*NORMS, NEAREST)
    if any(name in calm.means and name in fade[-1].means for name in names):
        return ""
    return first_reason_if_all_missing(
        [explain_missing_statistics(run.windows, name) for name in names]
    )


def explain_missing_for_overfitting(run: RunWindows) -> str:
    """Return why scores of training and held-out images cannot be compared; '' if they can."""
    if not any(OVERFITTING_SCORES[1] in window.means for window in run.windows):
        return "no held-out images"
    return explain_missing_statistics(
        run.windows, *OVERFITTING_SCORES, iterations=MIN_OVERFITTING_DURATION
    )


def detect_fade_shock(run: RunWindows) -> Detection | None:
    """Detect gradients or diversity that jumped when a fade began."""
    calm, fade = _split_windows_at_fade(run)
    if calm is None:
        return None
    streak = find_trailing_streak(fade, lambda window: bool(_describe_shocks(calm, window)))
    return Detection.of_streak(streak, *_describe_shocks(calm, streak[-1])) if streak else None


def detect_overfitting(run: RunWindows) -> Detection | None:
    """Detect a D that scores held-out images like fakes, as it memorised the training images."""

    def is_overfitted(window: Window) -> bool:
        training, held_out, fake = (window.means[name] for name in OVERFITTING_SCORES)
        return training > fake and training - held_out >= OVERFITTED * (training - fake)

    streak = find_lasting_streak(
        run.windows, OVERFITTING_SCORES, is_overfitted, MIN_OVERFITTING_DURATION
    )
    if len(streak) < 2:
        return None
    training, held_out, fake = (streak[-1].means[name] for name in OVERFITTING_SCORES)
    ratio = (training - held_out) / (training - fake)
    return Detection.of_streak(
        streak,
        f"mean score of training images {training:.3g}, of held-out ones {held_out:.3g}, of "
        f"generated ones {fake:.3g}",
        f"r_v {ratio:.2g} (0: none, 1: complete; high from {OVERFITTED:g})",
    )


def detect_data_starvation(run: RunWindows) -> Detection | None:
    """Detect networks that wait for data."""
    streak = find_lasting_streak(run.windows, [WAIT], lambda window: window.means[WAIT] > STARVED)
    if not streak:
        return None
    wait = streak[-1].means[WAIT]
    return Detection.of_streak(
        streak, f"training waits for images {wait:.0f} % of the time (above {STARVED:g} %)"
    )


def _split_windows_at_fade(run: RunWindows) -> tuple[Window | None, list[Window]]:
    """Return the last window before the current fade, or None, and the windows since."""
    if not run.windows or not run.windows[-1].fading:
        return None, []
    resolution = run.windows[-1].resolution
    fade = [window for window in run.windows if window.resolution == resolution]
    before = [window for window in run.windows if window.end <= fade[0].start]
    return (before[-1] if before else None), fade


def _describe_shocks(calm: Window, window: Window) -> list[str]:
    """Describe the statistics that jumped since before the fade."""
    found = []
    for name, network in NORMS.items():
        pair = calm.get(name), window.get(name)
        if pair[0] is not None and pair[1] is not None and pair[1] > JUMPED * pair[0] > 0:
            found.append(f"gradient of {network} {pair[1]:.2g}, {pair[0]:.2g} before the fade")
    old, new = calm.get(NEAREST), window.get(NEAREST)
    if old is not None and new is not None and new < min(FALLEN, old / 2):
        found.append(
            f"nearest neighbours among images {new:.2g} times as far apart as among "
            f"reals, {old:.2g} before the fade"
        )
    return found
