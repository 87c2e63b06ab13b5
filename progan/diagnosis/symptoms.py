"""The table of symptoms, the gravest first, and the verdict that follows from it."""

from collections.abc import Callable
from typing import NamedTuple

from progan.diagnosis.balance import convergence_failure, too_strong, too_weak
from progan.diagnosis.findings import Course, Finding, Found, Severity, Verdict
from progan.diagnosis.gradients import exploding, non_finite, vanishing
from progan.diagnosis.history import History
from progan.diagnosis.surroundings import fade_shock, overfitting, starvation
from progan.diagnosis.variety import mode_collapse
from progan.diagnosis.windows import BRIEF, SETTLED


class Symptom(NamedTuple):
    """One row of the table; `docs/diagnosis.md` explains each."""

    name: str
    severity: Severity
    examine: Callable[[Course], Found | None]
    advice: str
    explains: tuple[str, ...] = ()  # symptoms that follow from it, and are not worth a word then


SYMPTOMS: tuple[Symptom, ...] = (
    Symptom("non-finite", "ill", non_finite,
            "lower --g-lr and --d-lr, or clip gradients (--clip-gradients); if it comes back at "
            "the same images, look at the data"),
    Symptom("convergence failure", "ill", convergence_failure,
            "start anew, it seldom recovers: normalise G (--g-norm), lower --d-lr, raise "
            "--label-smoothing, or take an objective that cannot saturate (--objective wgan-gp)",
            explains=("mode collapse", "vanishing gradients", "fade-in shock", "D too strong")),
    Symptom("mode collapse", "ill", mode_collapse,
            "go back to an earlier snapshot: lower the learning rates, show D batches "
            "(--stddev-group 4, --minibatch-kernels 100), give G more latents (--latent-size), or "
            "take --objective wgan-gp",
            explains=("fade-in shock", "D too strong", "D too weak")),
    Symptom("exploding gradients", "ill", exploding,
            "lower the learning rate, clip gradients (--clip-gradients), or raise --gp-weight"),
    Symptom("vanishing gradients", "ill", vanishing,
            "the network has stopped to learn: lower --d-lr against --g-lr, normalise "
            "(--g-norm, --equalized-lr), or take --objective wgan-gp; go back to an earlier "
            "snapshot"),
    Symptom("fade-in shock", "watch", fade_shock,
            "usually it passes; if not, fade more slowly (--transition-kimg), train the "
            "resolution before for longer (--training-kimg), or lower the rates at this one "
            "(--g-lr-at, --d-lr-at)"),
    Symptom("D too strong", "watch", too_strong,
            "lower --d-lr or raise --g-lr, augment (--augment adaptive), disturb D "
            "(--adaptive-noise for lsgan, --label-noise, --dropout)"),
    Symptom("D too weak", "watch", too_weak,
            "raise --d-lr or --d-repeats, widen D, weaken dropout and augmentation"),
    Symptom("overfitting D", "watch", overfitting,
            "augment (--augment adaptive, --mirror), collect more images, or stop at the best "
            "snapshot (--best)"),
    Symptom("data starvation", "watch", starvation,
            "move the dataset to a faster disk, make it without --compress, or leave other work "
            "to other cores"),
)


def diagnose(history: History) -> Verdict:
    """Examine a history for all symptoms; few ticks give no verdict, unless something is wrong."""
    course = Course.of(history)
    found = [(symptom, one) for symptom in SYMPTOMS if (one := symptom.examine(course)) is not None]
    explained = {name for symptom, _ in found for name in symptom.explains}
    findings = tuple(Finding(symptom.name, symptom.severity, *one, symptom.advice)
                     for symptom, one in found if symptom.name not in explained)
    judged = bool(course.windows) and course.windows[-1].end >= SETTLED + BRIEF
    return Verdict(findings, judged)


def verdicts(history: History) -> list[tuple[float, Verdict]]:
    """The verdict after each tick, with its kimg: what somebody who watched was told."""
    return [(history.rows[end - 1]["images_seen"] / 1000,
             diagnose(History(history.rows[:end], history.objective, history.d_repeats)))
            for end in range(1, len(history.rows) + 1)]
