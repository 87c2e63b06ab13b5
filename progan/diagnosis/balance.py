"""What losses and accuracies mean, objective by objective."""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from progan.config import Objective
from progan.diagnosis.history import Window, lasting_streak
from progan.diagnosis.status import Detection, RunWindows, missing_statistics

LN2 = math.log(2)


class LossScale(NamedTuple):
    """How the critic's numbers are to be read.

    Attributes:
        chance: Its loss of either side where it cannot tell real from fake; None: its losses
            have no such mark.
        accuracy: Whether accuracies say who is winning. A critic of Wasserstein's distance
            should be as good as it can, and BEGAN gives fakes the lower energy by design.
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
SOFT_TARGETS = ("gan", "dragan", "r1")  # whose targets label smoothing and noise move


def loss_limits(config: Objective, part: float) -> tuple[float, float] | None:
    """The losses of reals and of fakes of which only `part` is left above the least possible.

    Soft targets keep a loss away from 0: the least is the entropy of the target.
    """
    chance = LOSS_SCALES[config.objective].chance
    if chance is None:
        return None
    noise = config.label_noise / 2 if config.objective in SOFT_TARGETS else 0.0
    smoothing = config.label_smoothing if config.objective in SOFT_TARGETS else 0.0
    floors = [_entropy(min(softness, 0.5)) for softness in (smoothing + noise, noise)]
    real, fake = (floor + part * max(chance - floor, 0.0) for floor in floors)
    return real, fake


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p) if p else 0.0


ACCURACIES = ("accuracy/real", "accuracy/fake")
D_LOSSES = ("loss/critic-real", "loss/critic-fake")
NEAREST = "diversity/nearest"
BEGAN_BALANCE = ("dials/balance", "scores/real", "scores/fake")

NOTHING_LEFT = 0.07  # of the loss at chance: D gives 95 % to every image
CERTAIN = 0.99  # accuracy that a playing generator does not allow
TARGET = 0.85  # accuracy of D at which G learns best (StyleGAN2-ADA keeps D there)
STRONG = 0.95
WEAK = 0.6  # of both accuracies' mean; 0.5 is chance
LONG = 200  # iterations; balance swings, and only what stays is worth a word
RISEN = 1.2  # loss of G, late against early
LIKE_REALS = (0.5, 2.0)  # diversity beside that of reals: such pictures are worth something


def missing_for_losses(course: RunWindows) -> str:
    """Why losses and accuracies cannot be compared with chance; '' if they can."""
    if LOSS_SCALES[course.objective.objective].chance is None:
        return f"losses of {course.objective.objective} have no value for chance"
    return missing_statistics(course.windows, *D_LOSSES, *ACCURACIES)


def missing_for_strength(course: RunWindows) -> str:
    """Why it cannot be checked whether D is too strong; '' if it can."""
    if course.objective.objective == "began":
        return missing_statistics(course.windows, *BEGAN_BALANCE, iterations=LONG)
    if not LOSS_SCALES[course.objective.objective].accuracy:
        return f"accuracies of {course.objective.objective} do not tell"
    return missing_statistics(course.windows, *ACCURACIES, iterations=LONG)


def missing_for_weakness(course: RunWindows) -> str:
    """Why it cannot be checked whether D is too weak; '' if it can."""
    return missing_for_strength(course) or (
        ""
        if course.objective.objective == "began"
        else missing_statistics(course.windows, *ACCURACIES, NEAREST, iterations=LONG)
    )


def detect_convergence_failure(course: RunWindows) -> Detection | None:
    """D's loss is at zero and stays there, every image is judged right, and pictures are bad."""
    least = loss_limits(course.objective, NOTHING_LEFT)
    if least is None:
        return None

    def holds(window: Window) -> bool | None:
        losses, accuracies = window.all(*D_LOSSES), window.all(*ACCURACIES)
        if losses is None or accuracies is None:
            return None
        return (
            losses[0] < least[0]
            and losses[1] < least[1]
            and min(accuracies) >= CERTAIN
            and not _like_reals(window)
        )

    stretch = lasting_streak(course.windows, holds)
    if not stretch:
        return None
    last = stretch[-1]
    return Detection(
        stretch[0].start_kimg,
        (
            f"loss of D {last.means[D_LOSSES[0]]:.3g} on reals and "
            f"{last.means[D_LOSSES[1]]:.3g} on fakes "
            f"(below {least[0]:.2g} and {least[1]:.2g})",
            _accuracy_words(last),
            *_generator_words(stretch),
            *_nearest_words(last),
        ),
    )


def detect_too_strong(course: RunWindows) -> Detection | None:
    """D is nearly always right, and it does G no good."""
    if course.objective.objective == "began":
        return _began_at(course, pinned=0.0)
    stretch = _with_accuracies(course, lambda real, fake: min(real, fake) >= STRONG)
    if not stretch or not (_losing(stretch) or _like_reals(stretch[-1]) is False):
        return None
    return Detection(
        stretch[0].start_kimg,
        (
            f"{_accuracy_words(stretch[-1])} (target about {TARGET:.0%})",
            *_generator_words(stretch),
            *_nearest_words(stretch[-1]),
        ),
    )


def detect_too_weak(course: RunWindows) -> Detection | None:
    """D cannot tell, although the pictures are plainly unlike reals.

    Without the second half it would be the equilibrium that a GAN is trained for.
    """
    if course.objective.objective == "began":
        return _began_at(course, pinned=1.0)
    stretch = _with_accuracies(course, lambda real, fake: (real + fake) / 2 < WEAK)
    if not stretch or _like_reals(stretch[-1]) is not False:
        return None
    return Detection(
        stretch[0].start_kimg,
        (
            f"{_accuracy_words(stretch[-1])} (target about {TARGET:.0%})",
            *_nearest_words(stretch[-1]),
        ),
    )


def _with_accuracies(course: RunWindows, right: Callable[[float, float], bool]) -> list[Window]:
    if not LOSS_SCALES[course.objective.objective].accuracy:
        return []

    def holds(window: Window) -> bool | None:
        accuracies = window.all(*ACCURACIES)
        return None if accuracies is None else right(*accuracies)

    return lasting_streak(course.windows, holds, LONG)


def _began_at(course: RunWindows, *, pinned: float) -> Detection | None:
    """BEGAN's k at an end of its range: the balance cannot be held any more."""

    def holds(window: Window) -> bool | None:
        k = window.get("dials/balance")
        energies = window.all("scores/real", "scores/fake")
        if k is None or energies is None:
            return None
        return abs(k - pinned) < 0.01 and (pinned == 1.0 or energies[1] <= energies[0])

    stretch = lasting_streak(course.windows, holds, LONG)
    if not stretch:
        return None
    last = stretch[-1]
    return Detection(
        stretch[0].start_kimg,
        (
            f"k {last.means['dials/balance']:.3g}, at the end of its range",
            f"energy of reals {-last.means['scores/real']:.3g}, of fakes "
            f"{-last.means['scores/fake']:.3g}",
        ),
    )


def _like_reals(window: Window) -> bool | None:
    nearest = window.get(NEAREST)
    return None if nearest is None else LIKE_REALS[0] <= nearest <= LIKE_REALS[1]


def _losing(stretch: Sequence[Window]) -> bool:
    early, late = _early_and_late(stretch)
    return late > RISEN * early > 0


def _early_and_late(stretch: Sequence[Window]) -> tuple[float, float]:
    """Median loss of G in the first and in the last third of a stretch; 0 if not known."""
    losses = [loss for window in stretch if (loss := window.get("loss/generator")) is not None]
    third = max(len(losses) // 3, 1)
    if not losses:
        return 0.0, 0.0
    return statistics.median(losses[:third]), statistics.median(losses[-third:])


def _accuracy_words(window: Window) -> str:
    real, fake = (window.means[name] for name in ACCURACIES)
    return f"accuracy {real:.1%} on reals and {fake:.1%} on fakes"


def _generator_words(stretch: Sequence[Window]) -> tuple[str, ...]:
    early, late = _early_and_late(stretch)
    if not early or not late:
        return ()
    way = "rises" if late > 1.05 * early else "falls" if late < 0.95 * early else "stays"
    return (f"loss of G {way}: {early:.3g} → {late:.3g}",)


def _nearest_words(window: Window) -> tuple[str, ...]:
    nearest = window.get(NEAREST)
    if nearest is None:
        return ()
    return (f"pictures are {nearest:.2g} times as far from their nearest neighbours as reals",)
