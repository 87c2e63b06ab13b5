"""A status in words."""

from collections.abc import Iterator, Sequence

from progan.diagnosis.findings import OK, TOO_EARLY, Coverage, Finding, Verdict
from progan.diagnosis.history import FIRST_STATUS, Row

NOT_VISIBLE = (
    "whether the samples are good cannot be seen from these curves. Look at the sample "
    "grids, or measure a snapshot with metrics"
)


def report(verdict: Verdict, rows: Sequence[Row]) -> str:
    """All findings with their evidence and advice, and how far the training is."""
    return "\n".join(_lines(verdict, rows))


def finding_words(finding: Finding) -> str:
    """'failing: mode collapse since kimg 6.1: …; … What to change: …'."""
    return (
        f"{finding.severity}: {finding.name} since kimg {finding.since_kimg:.1f}: "
        f"{'; '.join(finding.evidence)}. What to change: {finding.advice}."
    )


def summary(verdict: Verdict) -> str:
    """One line: the status, what was looked at, and what cannot be seen from it."""
    facts = [f"{label}: {words}" for label, words in based_on(verdict)]
    return f"{verdict.title} ({meaning(verdict)}): {'; '.join(facts)}."


def meaning(verdict: Verdict) -> str:
    """What the status says, in words: 'none of 8 checks found anything wrong'."""
    coverage = verdict.coverage
    checks = f"{len(coverage.checked)} check{'s' * (len(coverage.checked) != 1)}"
    if verdict.findings:
        count = len(verdict.findings)
        return f"{count} finding{'s' * (count != 1)} of {checks}"
    if verdict.name == TOO_EARLY:
        return f"{coverage.iterations:g} iterations so far, of which the checks need {FIRST_STATUS}"
    return f"{checks} found nothing wrong" if verdict.name == OK else "statistics are missing"


def based_on(verdict: Verdict) -> Iterator[tuple[str, str]]:
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


def _lines(verdict: Verdict, rows: Sequence[Row]) -> Iterator[str]:
    kimg = rows[-1]["images_seen"] / 1000 if rows else 0.0
    kimg = max([kimg, *(finding.since_kimg for finding in verdict.findings)])
    yield f"Status at kimg {kimg:.1f}: {verdict.title} ({meaning(verdict)})."
    for finding in verdict.findings:
        yield ""
        yield f"{finding.severity}: {finding.name}, since kimg {finding.since_kimg:.1f}"
        yield from (f"  evidence        {one}" for one in finding.evidence)
        yield f"  what to change  {finding.advice}"
    yield ""
    yield from (f"  {label:<14}  {words}" for label, words in based_on(verdict))
    if words := rollbacks(rows):
        yield ""
        yield f"Rollbacks: {words}"


def rollbacks(rows: Sequence[Row]) -> str:
    """'2, before kimg 3.0 and 7.0'; '' if there were none."""
    counts = [row.get("progress/rollbacks", 0.0) for row in rows]
    rises = [
        row for row, before, now in zip(rows, [0.0, *counts], counts, strict=False) if now > before
    ]
    where = " and ".join(f"{row['images_seen'] / 1000:.1f}" for row in rises)
    return f"{counts[-1]:g}, before kimg {where}" if rises else ""
