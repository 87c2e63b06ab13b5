"""Symptoms in the balance of D and G: losses and accuracies, by loss function."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from progan.config import LossConfig
from progan.diagnosis.history import Window, find_lasting_streak
from progan.diagnosis.status import Detection, RunWindows, explain_missing_statistics

LN2 = math.log(2)


class LossScale(NamedTuple):
    """Interpretation of the discriminator's losses and accuracies.

    Attributes:
        chance: Loss on reals or fakes of a D that cannot separate them; None: undefined.
        accuracy: Accuracies show the balance. A Wasserstein D should be as good as possible, and
            BEGAN gives fakes the lower energy by design.
    """

    chance: float | None
    accuracy: bool


LOSS_SCALES: dict[str, LossScale] = {
    "wgan-gp": LossScale(None, accuracy=False),
    "wgan": LossScale(None, accuracy=False),
    "gan": LossScale(LN2, accuracy=True),
    "lsgan": LossScale(1 / 8, accuracy=True),  # ½·½² with D = ½
    "dragan": LossScale(LN2, accuracy=True),
    "ebgan": LossScale(None, accuracy=True),
    "began": LossScale(None, accuracy=False),
    "r1": LossScale(LN2, accuracy=True),
    "relativistic": LossScale(LN2 / 2, accuracy=True),  # real and fake of a pair share the loss
}
SOFT_TARGETS = ("gan", "dragan", "r1")  # losses with label smoothing and noise


def interpolate_loss_limits(config: LossConfig, part: float) -> tuple[float, float] | None:
    """Return the losses on reals and fakes at `part` of the way from the minimum to chance.

    The minimum is the entropy of the soft targets of reals, else 0; noise moves the targets of
    fakes below 0, where the loss has none, and 0 stands for it. None: chance is undefined.
    """
    chance = LOSS_SCALES[config.objective].chance
    if chance is None:
        return None
    soft = config.objective in SOFT_TARGETS
    floor = _entropy(min(config.label_smoothing + config.label_noise / 2, 0.5)) if soft else 0.0
    fake_chance = chance * (config.fake_weight if config.objective == "lsgan" else 1.0)
    return floor + part * max(chance - floor, 0.0), part * fake_chance


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p) if p else 0.0


ACCURACIES = ("accuracy/real", "accuracy/fake")
D_LOSSES = ("loss/critic-real", "loss/critic-fake")
NEAREST = "diversity/nearest"
BEGAN_BALANCE = ("dials/balance", "scores/real", "scores/fake")

CONVERGED_LOSS = 0.07  # share of the loss at chance: D gives 95 % to every image
CERTAIN = 0.99  # accuracy of D that a learning generator prevents
TARGET = 0.85  # accuracy of D at which G learns best (StyleGAN2-ADA keeps D there)
STRONG = 0.95
WEAK = 0.6  # mean of both accuracies; 0.5 is chance
MIN_BALANCE_DURATION = 200  # iterations; balance swings
RISEN = 1.2  # loss of G, late / early
SCORES = ("scores/real", "scores/fake")
# Share of the target slope by which the mean score of fakes exceeds that of reals. Of 45
# trainings with wgan-gp the four that diverged had it, the others at 4x4 and in fades only.
REVERSED = 0.1
MAX_BASE_SIDE = 7  # px; of the lowest resolution
REALISTIC_DIVERSITY = (0.5, 2.0)  # range, relative to reals


def explain_missing_losses(run: RunWindows) -> str:
    """Return why losses and accuracies cannot be compared with chance; '' if they can."""
    if LOSS_SCALES[run.loss.objective].chance is None:
        return f"losses of {run.loss.objective} have no value at chance"
    return explain_missing_statistics(run.windows, *D_LOSSES, *ACCURACIES)


def explain_missing_for_strength(run: RunWindows) -> str:
    """Return why it cannot be checked whether D is too strong; '' if it can."""
    if run.loss.objective == "began":
        return explain_missing_statistics(
            run.windows, *BEGAN_BALANCE, iterations=MIN_BALANCE_DURATION
        )
    if not LOSS_SCALES[run.loss.objective].accuracy:
        return f"accuracies of {run.loss.objective} do not show the balance"
    return explain_missing_statistics(run.windows, *ACCURACIES, iterations=MIN_BALANCE_DURATION)


def explain_missing_for_weakness(run: RunWindows) -> str:
    """Return why it cannot be checked whether D is too weak; '' if it can."""
    if (reason := explain_missing_for_strength(run)) or run.loss.objective == "began":
        return reason
    return explain_missing_statistics(
        run.windows, *ACCURACIES, NEAREST, iterations=MIN_BALANCE_DURATION
    )


def explain_missing_for_divergence(run: RunWindows) -> str:
    """Return why it cannot be checked whether D diverges; '' if it can."""
    if run.loss.objective != "wgan-gp":
        return f"the scores of {run.loss.objective} do not show it"
    return explain_missing_statistics(run.windows, *SCORES, iterations=MIN_BALANCE_DURATION)


def detect_divergence(run: RunWindows) -> Detection | None:
    """Detect a D of wgan-gp whose mean score of fakes is above that of reals.

    The difference of both estimates the Wasserstein distance, which cannot be negative: D has lost
    what it had learned, and its gradients lead G astray.
    """
    if run.loss.objective != "wgan-gp":
        return None
    limit = REVERSED * run.loss.gp_target

    def is_reversed(window: Window) -> bool:
        real, fake = (window.means[name] for name in SCORES)
        return fake - real > limit and window.resolution > MAX_BASE_SIDE and not window.fading

    streak = find_lasting_streak(run.windows, SCORES, is_reversed, MIN_BALANCE_DURATION)
    if not streak:
        return None
    real, fake = (streak[-1].means[name] for name in SCORES)
    return Detection.of_streak(
        streak,
        f"mean score {real:.3g} of reals and {fake:.3g} of fakes, which should be lower",
        *_format_nearest(streak[-1]),
    )


def detect_convergence_failure(run: RunWindows) -> Detection | None:
    """Detect a D whose loss stays at its minimum and accuracy at 100 % while images are bad."""
    limits = interpolate_loss_limits(run.loss, CONVERGED_LOSS)
    if limits is None:
        return None

    def is_converged(window: Window) -> bool:
        real, fake = (window.means[name] for name in D_LOSSES)
        return (
            real < limits[0]
            and fake < limits[1]
            and min(window.means[name] for name in ACCURACIES) >= CERTAIN
            and not _is_realistic(window)
        )

    streak = find_lasting_streak(run.windows, (*D_LOSSES, *ACCURACIES), is_converged)
    if not streak:
        return None
    real, fake = (streak[-1].means[name] for name in D_LOSSES)
    return Detection.of_streak(
        streak,
        f"loss of D {real:.3g} on reals and {fake:.3g} on fakes "
        f"(below {limits[0]:.2g} and {limits[1]:.2g})",
        _format_accuracy(streak[-1]),
        *_format_generator_loss(streak),
        *_format_nearest(streak[-1]),
    )


def detect_too_strong(run: RunWindows) -> Detection | None:
    """Detect a D that is nearly always right while G gets worse or is unrealistic."""
    if run.loss.objective == "began":
        return _detect_began_limit(run, pinned=0.0)
    streak = _find_streak_by_accuracies(run, lambda real, fake: min(real, fake) >= STRONG)
    if not streak:
        return None
    early, late = _measure_early_and_late_loss(streak)
    if not late > RISEN * early > 0 and _is_realistic(streak[-1]) is not False:
        return None
    return Detection.of_streak(
        streak,
        f"{_format_accuracy(streak[-1])} (target about {TARGET:.0%})",
        *_format_generator_loss(streak),
        *_format_nearest(streak[-1]),
    )


def detect_too_weak(run: RunWindows) -> Detection | None:
    """Detect a D near chance although images are unlike reals (else it is the equilibrium)."""
    if run.loss.objective == "began":
        return _detect_began_limit(run, pinned=1.0)
    streak = _find_streak_by_accuracies(run, lambda real, fake: (real + fake) / 2 < WEAK)
    if not streak or _is_realistic(streak[-1]) is not False:
        return None
    return Detection.of_streak(
        streak,
        f"{_format_accuracy(streak[-1])} (target about {TARGET:.0%})",
        *_format_nearest(streak[-1]),
    )


def _find_streak_by_accuracies(
    run: RunWindows, condition: Callable[[float, float], bool]
) -> list[Window]:
    if not LOSS_SCALES[run.loss.objective].accuracy:
        return []
    return find_lasting_streak(
        run.windows,
        ACCURACIES,
        lambda window: condition(*(window.means[name] for name in ACCURACIES)),
        MIN_BALANCE_DURATION,
    )


def _detect_began_limit(run: RunWindows, *, pinned: float) -> Detection | None:
    """Detect BEGAN's k at an end of its range, where it cannot balance any more."""

    def is_pinned(window: Window) -> bool:
        k, real, fake = (window.means[name] for name in BEGAN_BALANCE)
        return abs(k - pinned) < 0.01 and (pinned == 1.0 or fake <= real)

    streak = find_lasting_streak(run.windows, BEGAN_BALANCE, is_pinned, MIN_BALANCE_DURATION)
    if not streak:
        return None
    k, real, fake = (streak[-1].means[name] for name in BEGAN_BALANCE)
    return Detection.of_streak(
        streak,
        f"k {k:.3g}, at the end of its range",
        f"energy of reals {-real:.3g}, of fakes {-fake:.3g}",
    )


def _is_realistic(window: Window) -> bool | None:
    nearest = window.get(NEAREST)
    return None if nearest is None else REALISTIC_DIVERSITY[0] <= nearest <= REALISTIC_DIVERSITY[1]


def _measure_early_and_late_loss(streak: Sequence[Window]) -> tuple[float, float]:
    """Return median losses of G in the first and last third of a streak; 0 if unknown."""
    losses = [loss for window in streak if (loss := window.get("loss/generator")) is not None]
    third = max(len(losses) // 3, 1)
    if not losses:
        return 0.0, 0.0
    return statistics.median(losses[:third]), statistics.median(losses[-third:])


def _format_accuracy(window: Window) -> str:
    real, fake = (window.means[name] for name in ACCURACIES)
    return f"accuracy {real:.1%} on reals and {fake:.1%} on fakes"


def _format_generator_loss(streak: Sequence[Window]) -> tuple[str, ...]:
    early, late = _measure_early_and_late_loss(streak)
    if not early or not late:
        return ()
    trend = "rises" if late > 1.05 * early else "falls" if late < 0.95 * early else "stays"
    return (f"loss of G {trend}: {early:.3g} → {late:.3g}",)


def _format_nearest(window: Window) -> tuple[str, ...]:
    nearest = window.get(NEAREST)
    if nearest is None:
        return ()
    return (f"images are {nearest:.2g} times as far from their nearest neighbours as reals",)
