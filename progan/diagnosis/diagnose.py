"""The table of symptoms, the gravest first, and the status that follows from it."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from progan.diagnosis.balance import (
    convergence_failure,
    losses_missing,
    strength_missing,
    too_strong,
    too_weak,
    weakness_missing,
)
from progan.diagnosis.findings import Finding, Found, RunWindows, Severity, Verdict, cover
from progan.diagnosis.history import History
from progan.diagnosis.symptoms import (
    diversity_missing,
    exploding,
    fade_missing,
    fade_shock,
    mode_collapse,
    non_finite,
    norms_and_slope_missing,
    norms_missing,
    overfitting,
    scores_missing,
    starvation,
    vanishing,
    wait_missing,
)


class Symptom(NamedTuple):
    """One row of the table; `docs/diagnosis.md` explains each."""

    name: str
    severity: Severity
    examine: Callable[[RunWindows], Found | None]
    missing: Callable[[RunWindows], str]  # why it cannot be examined; '' if it can
    advice: str
    explains: tuple[str, ...] = ()  # symptoms that follow from it, and are not worth a word then


def _rows_missing(course: RunWindows) -> str:
    return "" if course.history.rows else "no ticks"


SYMPTOMS: tuple[Symptom, ...] = (
    Symptom(
        "non-finite",
        "failing",
        non_finite,
        _rows_missing,
        "lower --g-lr and --d-lr, or clip gradients (--clip-gradients); if it comes back at "
        "the same images, look at the data",
    ),
    Symptom(
        "convergence failure",
        "failing",
        convergence_failure,
        losses_missing,
        "start anew, it seldom recovers: normalise G (--g-norm), lower --d-lr, raise "
        "--label-smoothing, or take an objective that cannot saturate (--objective wgan-gp)",
        explains=("mode collapse", "vanishing gradients", "fade-in shock", "D too strong"),
    ),
    Symptom(
        "mode collapse",
        "failing",
        mode_collapse,
        diversity_missing,
        "go back to an earlier snapshot: lower the learning rates, show D batches "
        "(--stddev-group 4, --minibatch-kernels 100), give G more latents (--latent-size), or "
        "take --objective wgan-gp",
        explains=("fade-in shock", "D too strong", "D too weak"),
    ),
    Symptom(
        "exploding gradients",
        "failing",
        exploding,
        norms_and_slope_missing,
        "lower the learning rate, clip gradients (--clip-gradients), or raise --gp-weight",
    ),
    Symptom(
        "vanishing gradients",
        "failing",
        vanishing,
        norms_missing,
        "the network has stopped to learn: lower --d-lr against --g-lr, normalise "
        "(--g-norm, --equalized-lr), or take --objective wgan-gp; go back to an earlier "
        "snapshot",
    ),
    Symptom(
        "fade-in shock",
        "warning",
        fade_shock,
        fade_missing,
        "usually it passes; if not, fade more slowly (--transition-kimg), train the "
        "resolution before for longer (--training-kimg), or lower the rates at this one "
        "(--g-lr-at, --d-lr-at)",
    ),
    Symptom(
        "D too strong",
        "warning",
        too_strong,
        strength_missing,
        "lower --d-lr or raise --g-lr, augment (--augment adaptive), disturb D "
        "(--adaptive-noise for lsgan, --label-noise, --dropout)",
    ),
    Symptom(
        "D too weak",
        "warning",
        too_weak,
        weakness_missing,
        "raise --d-lr or --d-repeats, widen D, weaken dropout and augmentation",
    ),
    Symptom(
        "overfitting D",
        "warning",
        overfitting,
        scores_missing,
        "augment (--augment adaptive, --mirror), collect more images, or stop at the best "
        "snapshot (--best)",
    ),
    Symptom(
        "data starvation",
        "warning",
        starvation,
        wait_missing,
        "move the dataset to a faster disk, make it without --compress, or leave other work "
        "to other cores",
    ),
)


def diagnose(history: History) -> Verdict:
    """Examine a history for all symptoms; few ticks give no status, unless something is wrong."""
    course = RunWindows.of(history)
    found = [(symptom, one) for symptom in SYMPTOMS if (one := symptom.examine(course)) is not None]
    explained = {name for symptom, _ in found for name in symptom.explains}
    findings = tuple(
        Finding(symptom.name, symptom.severity, *one, symptom.advice)
        for symptom, one in found
        if symptom.name not in explained
    )
    unchecked = [(symptom.name, symptom.missing(course)) for symptom in SYMPTOMS]
    return Verdict(findings, cover(history, course.windows, unchecked))


def verdicts(history: History) -> list[tuple[float, Verdict]]:
    """The status after each tick, with its kimg: what somebody who watched was told."""
    return [
        (
            history.rows[end - 1]["images_seen"] / 1000,
            diagnose(replace(history, rows=history.rows[:end], fault=None)),
        )
        for end in range(1, len(history.rows) + 1)
    ]
