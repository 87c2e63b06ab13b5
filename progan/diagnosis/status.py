"""Status of a training: findings, what was checked, and how both read as text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from progan.config import Objective
from progan.diagnosis.history import (
    MIN_DURATION,
    MIN_ITERATIONS,
    WARMUP,
    History,
    Row,
    Window,
    after_warmup,
    join_windows,
)

EARLY_KIMG = 10.0  # no preset trains for less than 28 kimg; samples are seldom recognisable before


class Coverage(NamedTuple):
    """What a diagnosis is based on.

    Attributes:
        checked: Names of the symptoms that could have been found.
        unchecked: The others, each with the reason.
        start_kimg, end_kimg: The stretch of training whose curves were looked at.
        iterations: Generator steps so far.
        early: Why samples cannot be expected to be good yet; '' if nothing is known against it.
    """

    checked: tuple[str, ...]
    unchecked: tuple[tuple[str, str], ...]
    start_kimg: float
    end_kimg: float
    iterations: float
    early: str

    @property
    def long_enough(self) -> bool:
        """Whether the run has the iterations that the checks need."""
        return self.iterations >= MIN_ITERATIONS


def summarize_coverage(
    history: History, course: Sequence[Window], unchecked: Sequence[tuple[str, str]]
) -> Coverage:
    """Sum up what was looked at; `unchecked` are all symptoms, with '' for those checked."""
    counted = after_warmup(course)
    end = history.rows[-1]["images_seen"] / 1000 if history.rows else 0.0
    return Coverage(
        checked=tuple(name for name, why in unchecked if not why),
        unchecked=tuple((name, why) for name, why in unchecked if why),
        start_kimg=counted[0].start_kimg if counted else 0.0,
        end_kimg=counted[-1].end_kimg if counted else end,
        iterations=course[-1].end if course else 0.0,
        early=_early(history),
    )


def missing_statistics(
    course: Sequence[Window], *names: str, iterations: float = MIN_DURATION
) -> str:
    """Why something about these statistics cannot be checked; '' if it can."""
    absent = [name for name in names if not any(name in window.means for window in course)]
    if absent:
        return f"no {', '.join(absent)} in the statistics"
    known = [window for window in after_warmup(course) if window.all(*names) is not None]
    if not known or known[-1].end - known[0].start < iterations:
        return f"needs {iterations:g} iterations after the first {WARMUP:g}"
    return ""


def reason_if_none_known(reasons: Sequence[str]) -> str:
    """'' if one of several statistics is enough and known, else the first reason."""
    return "" if "" in reasons else reasons[0]


def _early(history: History) -> str:
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
OLD_NAMES = {"healthy": OK}  # of statuses, as earlier versions wrote them


class Detection(NamedTuple):
    """A symptom in a course: since when, and the numbers that show it."""

    since_kimg: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunWindows:
    """A history made ready to be judged."""

    history: History
    windows: Sequence[Window]

    @classmethod
    def of(cls, history: History) -> "RunWindows":
        return cls(history, join_windows(history))

    @property
    def objective(self) -> Objective:
        return self.history.objective


@dataclass(frozen=True, slots=True)
class Finding:
    """A symptom with its name, what it rests on, and what to change."""

    name: str
    severity: Severity
    since_kimg: float
    evidence: tuple[str, ...]
    advice: str


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a training: all findings, the gravest first, and what was looked at."""

    findings: tuple[Finding, ...]
    coverage: Coverage

    @property
    def judged(self) -> bool:
        """Whether enough was checked for a status; 'non-finite' alone, which always is, is not."""
        return self.coverage.long_enough and len(self.coverage.checked) > 1

    @property
    def name(self) -> str:
        """The gravest finding, or OK, TOO_EARLY or NOT_CHECKED."""
        if self.findings:
            return self.findings[0].name
        if not self.coverage.long_enough:
            return TOO_EARLY
        return OK if self.judged else NOT_CHECKED

    @property
    def failing(self) -> bool:
        """Whether a finding will not pass by waiting."""
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
        """A few words for a status line."""
        if not self.findings:
            return self.title
        first = self.findings[0]
        return (
            f"{first.severity.upper() if self.failing else first.severity}: "
            f"{first.name} since kimg {first.since_kimg:.1f}"
        )


def current_status_name(name: str) -> str:
    """Return the present name of a status that may have been written by an earlier version."""
    return OLD_NAMES.get(name, name)


NOT_VISIBLE = (
    "whether the samples are good cannot be seen from these curves. Look at the sample "
    "grids, or measure a snapshot with metrics"
)


def format_report(verdict: Status, rows: Sequence[Row]) -> str:
    """All findings with their evidence and advice, and how far the training is."""
    return "\n".join(_lines(verdict, rows))


def format_finding(finding: Finding) -> str:
    """'failing: mode collapse since kimg 6.1: …; … What to change: …'."""
    return (
        f"{finding.severity}: {finding.name} since kimg {finding.since_kimg:.1f}: "
        f"{'; '.join(finding.evidence)}. What to change: {finding.advice}."
    )


def format_summary(verdict: Status) -> str:
    """One line: the status, what was looked at, and what cannot be seen from it."""
    facts = [f"{label}: {words}" for label, words in coverage_facts(verdict)]
    return f"{verdict.title} ({explain_status(verdict)}): {'; '.join(facts)}."


def explain_status(verdict: Status) -> str:
    """What the status says, in words: 'none of 8 checks found anything wrong'."""
    coverage = verdict.coverage
    checks = f"{len(coverage.checked)} check{'s' * (len(coverage.checked) != 1)}"
    if verdict.findings:
        count = len(verdict.findings)
        return f"{count} finding{'s' * (count != 1)} of {checks}"
    if verdict.name == TOO_EARLY:
        return (
            f"{coverage.iterations:g} iterations so far, of which the checks need {MIN_ITERATIONS}"
        )
    return f"{checks} found nothing wrong" if verdict.name == OK else "statistics are missing"


def coverage_facts(verdict: Status) -> Iterator[tuple[str, str]]:
    """What was looked at and what not, as pairs of a label and words."""
    coverage = verdict.coverage
    if verdict.judged or verdict.findings:
        yield "checked", _checked(coverage)
    if verdict.judged and coverage.unchecked:
        yield "not checked", ", ".join(f"{name} ({why})" for name, why in coverage.unchecked)
    if coverage.early:
        yield "early", f"{coverage.early}; samples cannot be expected to be good yet"
    yield "not visible", NOT_VISIBLE


def _checked(coverage: Coverage) -> str:
    return (
        f"{', '.join(coverage.checked)}, on the curves of kimg {coverage.start_kimg:.1f} to "
        f"{coverage.end_kimg:.1f} (what has passed is not reported)"
    )


def _lines(verdict: Status, rows: Sequence[Row]) -> Iterator[str]:
    kimg = rows[-1]["images_seen"] / 1000 if rows else 0.0
    kimg = max([kimg, *(finding.since_kimg for finding in verdict.findings)])
    yield f"Status at kimg {kimg:.1f}: {verdict.title} ({explain_status(verdict)})."
    for finding in verdict.findings:
        yield ""
        yield f"{finding.severity}: {finding.name}, since kimg {finding.since_kimg:.1f}"
        yield from (f"  evidence        {one}" for one in finding.evidence)
        yield f"  what to change  {finding.advice}"
    yield ""
    yield from (f"  {label:<14}  {words}" for label, words in coverage_facts(verdict))
    if words := format_rollbacks(rows):
        yield ""
        yield f"Rollbacks: {words}"


def format_rollbacks(rows: Sequence[Row]) -> str:
    """'2, before kimg 3.0 and 7.0'; '' if there were none."""
    counts = [row.get("progress/rollbacks", 0.0) for row in rows]
    rises = [
        row for row, before, now in zip(rows, [0.0, *counts], counts, strict=False) if now > before
    ]
    where = " and ".join(f"{row['images_seen'] / 1000:.1f}" for row in rises)
    return f"{counts[-1]:g}, before kimg {where}" if rises else ""
