"""Status of a training: findings, what was checked, and how both read as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from progan.config import LossConfig
from progan.diagnosis.history import (
    MIN_DURATION,
    MIN_ITERATIONS,
    WARMUP,
    History,
    Row,
    Window,
    count_iterations_after_warmup,
    join_windows,
    select_after_warmup,
)

EARLY_KIMG = 10.0  # no preset trains for less than 28 kimg; samples are seldom recognisable before


class Coverage(NamedTuple):
    """Basis of a diagnosis.

    Attributes:
        checked: Names of the symptoms that were checked.
        unchecked: The others, each with the reason.
        start_kimg, end_kimg: Range of the curves that were examined.
        iterations: Generator steps so far.
        early: Why samples cannot be expected to be good yet; '' if they can.
    """

    checked: tuple[str, ...]
    unchecked: tuple[tuple[str, str], ...]
    start_kimg: float
    end_kimg: float
    iterations: float
    early: str

    @property
    def long_enough(self) -> bool:
        """True if the run has the iterations that the checks need."""
        return self.iterations >= MIN_ITERATIONS


def summarize_coverage(
    history: History, run_windows: Sequence[Window], reasons: Sequence[tuple[str, str]]
) -> Coverage:
    """Summarize what was checked; `reasons` are all symptoms, with '' for those checked."""
    counted = select_after_warmup(run_windows)
    end = history.rows[-1]["images_seen"] / 1000 if history.rows else 0.0
    return Coverage(
        checked=tuple(name for name, why in reasons if not why),
        unchecked=tuple((name, why) for name, why in reasons if why),
        start_kimg=counted[0].start_kimg if counted else 0.0,
        end_kimg=counted[-1].end_kimg if counted else end,
        iterations=run_windows[-1].end if run_windows else 0.0,
        early=_explain_too_early(history),
    )


def explain_missing_statistics(
    run_windows: Sequence[Window], *names: str, iterations: float = MIN_DURATION
) -> str:
    """Return why these statistics are too few for a check; '' if they suffice."""
    absent = [name for name in names if not any(name in window.means for window in run_windows)]
    if absent:
        return f"no {', '.join(absent)} in the statistics"
    known = [window for window in run_windows if window.all(*names) is not None]
    if count_iterations_after_warmup(known) < iterations:
        return f"needs {iterations:g} iterations after the first {WARMUP:g}"
    return ""


def first_reason_if_all_missing(reasons: Sequence[str]) -> str:
    """Return '' if any of several alternatives has no reason against it, else the first reason."""
    return "" if "" in reasons else reasons[0]


def _explain_too_early(history: History) -> str:
    """Return why the run is too young for a clean result; '' if it is not, or has no ticks."""
    if not history.rows:
        return ""
    last, final = history.rows[-1], history.final_resolution
    kimg, resolution = last["images_seen"] / 1000, last.get("schedule/resolution", 0.0)
    reasons = (
        [f"the networks are at resolution {resolution:g} of {final:g}"]
        if 0 < resolution < final
        else []
    )
    if kimg < EARLY_KIMG:
        reasons.append(f"only {kimg:.1f} kimg of images were shown")
    return ", and ".join(reasons)


Severity = Literal["failing", "warning"]
OK, TOO_EARLY, NOT_CHECKED = "ok", "too early to tell", "not checked"
OLD_NAMES = {"healthy": OK}  # statuses written by earlier versions


class Detection(NamedTuple):
    """Start of a symptom, and the numbers that show it."""

    since_kimg: float
    evidence: tuple[str, ...]

    @classmethod
    def of_streak(cls, streak: Sequence[Window], *evidence: str) -> "Detection":
        """Return a symptom that began with a streak of windows."""
        return cls(streak[0].start_kimg, evidence)


@dataclass(frozen=True, slots=True)
class RunWindows:
    """A history and its windows."""

    history: History
    windows: Sequence[Window]

    @classmethod
    def of(cls, history: History) -> "RunWindows":
        return cls(history, join_windows(history))

    @property
    def loss(self) -> LossConfig:
        return self.history.loss


@dataclass(frozen=True, slots=True)
class Finding:
    """A detected symptom with its evidence, and what to change."""

    name: str
    severity: Severity
    since_kimg: float
    evidence: tuple[str, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Status:
    """Status of a training: findings, the most serious first, and what was checked."""

    findings: tuple[Finding, ...]
    coverage: Coverage

    @property
    def is_conclusive(self) -> bool:
        """True if more was checked than 'non-finite', which always is, and for long enough."""
        return self.coverage.long_enough and len(self.coverage.checked) > 1

    @property
    def name(self) -> str:
        """The most serious finding, or OK, TOO_EARLY or NOT_CHECKED."""
        if self.findings:
            return self.findings[0].name
        if not self.coverage.long_enough:
            return TOO_EARLY
        return OK if self.is_conclusive else NOT_CHECKED

    @property
    def failing(self) -> bool:
        """True if a finding will not pass by waiting."""
        return any(finding.severity == "failing" for finding in self.findings)

    @property
    def title(self) -> str:
        """'failing: mode collapse', 'warning: D too weak', 'ok', 'ok so far' or the like.

        'so far': samples cannot be expected to be good yet (`Coverage.early`).
        """
        if self.findings:
            return f"{self.findings[0].severity}: {self.name}"
        return f"{OK} so far" if self.name == OK and self.coverage.early else self.name

    @property
    def brief(self) -> str:
        """Short form for a status line."""
        if not self.findings:
            return self.title
        first = self.findings[0]
        return (
            f"{first.severity.upper() if self.failing else first.severity}: "
            f"{first.name} since kimg {first.since_kimg:.1f}"
        )


def translate_old_status_name(name: str) -> str:
    """Return the current name of a status that an earlier version may have written."""
    return OLD_NAMES.get(name, name)


NOT_VISIBLE = (
    "whether the samples are good cannot be seen from these curves. Look at the sample "
    "grids, or measure a snapshot with metrics"
)


def format_report(status: Status, rows: Sequence[Row]) -> str:
    """Format the status, findings with evidence and advice, and what was checked."""
    return "\n".join(_format_report_lines(status, rows))


def format_finding(finding: Finding) -> str:
    """Format as 'failing: mode collapse since kimg 6.1: …; … What to change: …'."""
    return (
        f"{finding.severity}: {finding.name} since kimg {finding.since_kimg:.1f}: "
        f"{'; '.join(finding.evidence)}. What to change: {finding.advice}."
    )


def format_summary(status: Status) -> str:
    """Format one line: the status, what was checked, and what the curves do not show."""
    facts = [f"{label}: {text}" for label, text in list_coverage_facts(status)]
    return f"{status.title} ({explain_status(status)}): {'; '.join(facts)}."


def explain_status(status: Status) -> str:
    """Explain a status, e.g. '8 checks found nothing wrong'."""
    coverage = status.coverage
    checks = f"{len(coverage.checked)} check{'s' * (len(coverage.checked) != 1)}"
    if status.findings:
        count = len(status.findings)
        return f"{count} finding{'s' * (count != 1)} of {checks}"
    if status.name == TOO_EARLY:
        return (
            f"{coverage.iterations:g} iterations so far, of which the checks need {MIN_ITERATIONS}"
        )
    return f"{checks} found nothing wrong" if status.name == OK else "statistics are missing"


def list_coverage_facts(status: Status) -> Iterator[tuple[str, str]]:
    """Yield what was checked and what not, as pairs of label and text."""
    coverage = status.coverage
    if status.is_conclusive or status.findings:
        yield (
            "checked",
            f"{', '.join(coverage.checked)}, on the curves of kimg {coverage.start_kimg:.1f} to "
            f"{coverage.end_kimg:.1f} (what has passed is not reported)",
        )
    if coverage.unchecked and coverage.long_enough:
        yield "not checked", ", ".join(f"{name} ({why})" for name, why in coverage.unchecked)
    if coverage.early:
        yield "early", f"{coverage.early}; samples cannot be expected to be good yet"
    yield "not visible", NOT_VISIBLE


def _format_report_lines(status: Status, rows: Sequence[Row]) -> Iterator[str]:
    kimg = rows[-1]["images_seen"] / 1000 if rows else 0.0
    kimg = max([kimg, *(finding.since_kimg for finding in status.findings)])
    yield f"Status at kimg {kimg:.1f}: {status.title} ({explain_status(status)})."
    for finding in status.findings:
        yield ""
        yield f"{finding.severity}: {finding.name}, since kimg {finding.since_kimg:.1f}"
        yield from (f"  evidence        {one}" for one in finding.evidence)
        yield f"  what to change  {finding.advice}"
    yield ""
    yield from (f"  {label:<14}  {text}" for label, text in list_coverage_facts(status))
    if text := format_rollbacks(rows):
        yield ""
        yield f"Rollbacks: {text}"


def format_rollbacks(rows: Sequence[Row]) -> str:
    """Format as '2, before kimg 3.0 and 7.0'; '' if there were none."""
    counts = [row.get("progress/rollbacks", 0.0) for row in rows]
    rises = [
        row for row, before, now in zip(rows, [0.0, *counts], counts, strict=False) if now > before
    ]
    where = " and ".join(f"{row['images_seen'] / 1000:.1f}" for row in rises)
    return f"{counts[-1]:g}, before kimg {where}" if rises else ""
