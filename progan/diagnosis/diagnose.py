"""The table of symptoms, the most serious first, and the status of a run."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from progan.diagnosis import balance, symptoms
from progan.diagnosis.history import History
from progan.diagnosis.status import (
    Detection,
    Finding,
    RunWindows,
    Severity,
    Status,
    explain_missing_statistics,
    summarize_coverage,
)


class Symptom(NamedTuple):
    """A row of the table; `docs/diagnosis.md` explains each."""

    name: str
    severity: Severity
    examine: Callable[[RunWindows], Detection | None]
    missing: Callable[[RunWindows], str]  # why it cannot be examined; '' if it can
    advice: str
    explains: tuple[str, ...] = ()  # consequences, not reported beside it


SYMPTOMS: tuple[Symptom, ...] = (
    Symptom(
        "non-finite",
        "failing",
        symptoms.detect_non_finite_values,
        lambda run: "" if run.history.rows else "no ticks",
        "lower --g-lr and --d-lr, or clip gradients (--clip-gradients); if it comes back at "
        "the same images, look at the data",
    ),
    Symptom(
        "convergence failure",
        "failing",
        balance.detect_convergence_failure,
        balance.explain_missing_losses,
        "restart, it seldom recovers: normalise G (--g-norm), lower --d-lr, raise "
        "--label-smoothing, or use a loss that does not saturate (--objective wgan-gp)",
        explains=("mode collapse", "vanishing gradients", "fade-in shock", "D too strong"),
    ),
    Symptom(
        "diverging D",
        "failing",
        balance.detect_divergence,
        balance.explain_missing_for_divergence,
        "go back to an earlier state or snapshot with lower learning rates (--g-lr, --d-lr); it "
        "seldom recovers",
        explains=("mode collapse", "exploding gradients", "D too weak"),
    ),
    Symptom(
        "mode collapse",
        "failing",
        symptoms.detect_mode_collapse,
        lambda run: explain_missing_statistics(run.windows, symptoms.NEAREST),
        "go back to an earlier snapshot: lower the learning rates, show D batches "
        "(--stddev-group 4, --minibatch-kernels 100), give G more latents (--latent-size), or "
        "use --objective wgan-gp",
        explains=("fade-in shock", "D too strong", "D too weak"),
    ),
    Symptom(
        "exploding gradients",
        "failing",
        symptoms.detect_exploding_gradients,
        symptoms.explain_missing_norms_and_slope,
        "lower the learning rate, clip gradients (--clip-gradients), or raise --gp-weight",
    ),
    Symptom(
        "vanishing gradients",
        "failing",
        symptoms.detect_vanishing_gradients,
        symptoms.explain_missing_norms,
        "the network no longer learns: lower --d-lr against --g-lr, normalise "
        "(--g-norm, --equalized-lr), or use --objective wgan-gp; go back to an earlier "
        "snapshot",
    ),
    Symptom(
        "fade-in shock",
        "warning",
        symptoms.detect_fade_shock,
        symptoms.explain_missing_for_fade,
        "usually it passes; if not, fade more slowly (--transition-kimg), train the "
        "resolution before for longer (--training-kimg), or lower the rates at this one "
        "(--g-lr-at, --d-lr-at)",
    ),
    Symptom(
        "D too strong",
        "warning",
        balance.detect_too_strong,
        balance.explain_missing_for_strength,
        "lower --d-lr or raise --g-lr, augment (--augment adaptive), disturb D "
        "(--adaptive-noise for lsgan, --label-noise, --dropout)",
    ),
    Symptom(
        "D too weak",
        "warning",
        balance.detect_too_weak,
        balance.explain_missing_for_weakness,
        "raise --d-lr or --d-repeats, widen D, weaken dropout and augmentation",
    ),
    Symptom(
        "overfitting D",
        "warning",
        symptoms.detect_overfitting,
        symptoms.explain_missing_for_overfitting,
        "augment (--augment adaptive, --mirror), collect more images, or stop at the best "
        "snapshot (--best)",
    ),
    Symptom(
        "data starvation",
        "warning",
        symptoms.detect_data_starvation,
        lambda run: explain_missing_statistics(run.windows, symptoms.WAIT),
        "move the dataset to a faster disk, make it without --compress, or leave other work "
        "to other cores",
    ),
)


def diagnose(history: History) -> Status:
    """Examine a history for all symptoms; short ones give no status unless one is found."""
    run = RunWindows.of(history)
    found = [(symptom, one) for symptom in SYMPTOMS if (one := symptom.examine(run)) is not None]
    explained = {name for symptom, _ in found for name in symptom.explains}
    findings = tuple(
        Finding(symptom.name, symptom.severity, *one, symptom.advice)
        for symptom, one in found
        if symptom.name not in explained
    )
    unchecked = [(symptom.name, symptom.missing(run)) for symptom in SYMPTOMS]
    return Status(findings, summarize_coverage(history, run.windows, unchecked))


def diagnose_after_each_tick(history: History) -> list[tuple[float, Status]]:
    """Return kimg and status after each tick."""
    return [
        (
            history.rows[end - 1]["images_seen"] / 1000,
            diagnose(replace(history, rows=history.rows[:end], rollback=None)),
        )
        for end in range(1, len(history.rows) + 1)
    ]
