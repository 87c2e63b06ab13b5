"""What troubles a training from outside: new layers, too few images, a slow disk."""

from progan.diagnosis.coverage import any_of, missing
from progan.diagnosis.findings import Course, Found
from progan.diagnosis.gradients import NORMS
from progan.diagnosis.variety import FALLEN, NEAREST
from progan.diagnosis.windows import Window, lasting, newest

JUMPED = 10.0  # times the gradient before the fade; good fades of the demo stay below 3.5
OVERFITTED = 0.5  # StyleGAN2-ADA's r_v: held-out images look half like pictures
LONG = 200  # iterations: r_v of a few hundred images is noisy
WAIT = "speed/data-wait-percent"
SCORES = ("overfitting/training", "overfitting/held-out", "overfitting/fake")
STARVED = 10.0  # percent of the time in which the networks wait for images


def fade_missing(course: Course) -> str:
    """Why a fade cannot be compared with what was before it; '' if it can."""
    if not course.windows or not course.windows[-1].fading:
        return "no fade now"
    calm, fade = _before_fade(course)
    if calm is None:
        return "nothing was trained before the fade"
    known = any(name in calm.means and name in fade[-1].means for name in (*NORMS, NEAREST))
    return "" if known else any_of([missing(course.windows, name) for name in (*NORMS, NEAREST)])


def scores_missing(course: Course) -> str:
    """Why training and held-out images cannot be compared; '' if they can."""
    if not any(SCORES[1] in window.means for window in course.windows):
        return "no held-out images"
    return missing(course.windows, *SCORES, iterations=LONG)


def wait_missing(course: Course) -> str:
    """Why it is not known how long training waits for data; '' if it is."""
    return missing(course.windows, WAIT)


def fade_shock(course: Course) -> Found | None:
    """The layers that are being faded in upset what was learned before."""
    calm, fade = _before_fade(course)
    if calm is None:
        return None
    stretch = newest(fade, lambda window: bool(_shocks(calm, window)))
    if not stretch:
        return None
    return Found(stretch[0].start_kimg, tuple(_shocks(calm, stretch[-1])))


def overfitting(course: Course) -> Found | None:
    """D knows the training images by heart: held-out ones look like pictures to it."""
    def holds(window: Window) -> bool | None:
        scores = window.all(*SCORES)
        if scores is None:
            return None
        training, held_out, fake = scores
        return training > fake and training - held_out >= OVERFITTED * (training - fake)

    stretch = lasting(course.windows, holds, LONG)
    if len(stretch) < 2:
        return None
    last = stretch[-1].means
    ratio = ((last["overfitting/training"] - last["overfitting/held-out"])
             / (last["overfitting/training"] - last["overfitting/fake"]))
    return Found(stretch[0].start_kimg, (
        f"mean score of training images {last['overfitting/training']:.3g}, of held-out ones "
        f"{last['overfitting/held-out']:.3g}, of pictures {last['overfitting/fake']:.3g}",
        f"r_v {ratio:.2g} (0 is none, 1 is all; from {OVERFITTED:g} on it is much)"))


def starvation(course: Course) -> Found | None:
    """The networks wait for data."""
    def holds(window: Window) -> bool | None:
        wait = window.get(WAIT)
        return None if wait is None else wait > STARVED

    stretch = lasting(course.windows, holds)
    if not stretch:
        return None
    wait = stretch[-1].means[WAIT]
    return Found(stretch[0].start_kimg, (
        f"training waits for images {wait:.0f} % of the time (above {STARVED:g} %)",))


def _before_fade(course: Course) -> tuple[Window | None, list[Window]]:
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
        found.append(f"nearest neighbours among pictures {new:.2g} times as far apart as among "
                     f"reals, {old:.2g} before the fade")
    return found
