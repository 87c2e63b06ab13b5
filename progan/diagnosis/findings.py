"""What an examination can find."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from progan.config import Objective
from progan.diagnosis.coverage import Coverage
from progan.diagnosis.history import History
from progan.diagnosis.windows import Window, windows

Severity = Literal["failing", "warning"]
OK, TOO_EARLY, NOT_CHECKED = "ok", "too early to tell", "not checked"
OLD_NAMES = {"healthy": OK}  # of statuses, as earlier versions wrote them


class Found(NamedTuple):
    """A symptom in a course: since when, and the numbers that show it."""

    since_kimg: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Course:
    """A history made ready to be judged."""

    history: History
    windows: Sequence[Window]

    @classmethod
    def of(cls, history: History) -> "Course":
        return cls(history, windows(history))

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
class Verdict:
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
        return (f"{first.severity.upper() if self.failing else first.severity}: "
                f"{first.name} since kimg {first.since_kimg:.1f}")


def current_name(name: str) -> str:
    """Return the present name of a status that may have been written by an earlier version."""
    return OLD_NAMES.get(name, name)
