"""What an examination can find."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from progan.config import Objective
from progan.diagnosis.history import History
from progan.diagnosis.windows import Window, windows

Severity = Literal["ill", "watch"]


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
    """All findings, the gravest first; `judged` is false while it is too early for any."""

    findings: tuple[Finding, ...]
    judged: bool = True

    @property
    def name(self) -> str:
        """The gravest finding, 'healthy' or 'too early to tell'."""
        if self.findings:
            return self.findings[0].name
        return "healthy" if self.judged else "too early to tell"

    @property
    def ill(self) -> bool:
        """Whether it is an illness, not just something to watch."""
        return any(finding.severity == "ill" for finding in self.findings)

    @property
    def brief(self) -> str:
        """A few words for a status line."""
        if not self.findings:
            return self.name
        first = self.findings[0]
        words = f"{first.name} since kimg {first.since_kimg:.1f}"
        return words.upper() if first.severity == "ill" else words
