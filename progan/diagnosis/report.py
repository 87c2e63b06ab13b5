"""A verdict in words."""

from collections.abc import Iterator, Sequence

from progan.diagnosis.findings import Finding, Verdict
from progan.diagnosis.history import Row


def report(verdict: Verdict, rows: Sequence[Row]) -> str:
    """All findings with their evidence and advice, and how far the training is."""
    return "\n".join(_lines(verdict, rows))


def finding_words(finding: Finding) -> str:
    """'mode collapse since kimg 6.1: …; … What to change: …'."""
    return (f"{finding.name} since kimg {finding.since_kimg:.1f}: {'; '.join(finding.evidence)}. "
            f"What to change: {finding.advice}.")


def _lines(verdict: Verdict, rows: Sequence[Row]) -> Iterator[str]:
    kimg = rows[-1]["images_seen"] / 1000 if rows else 0.0
    kimg = max([kimg, *(finding.since_kimg for finding in verdict.findings)])
    yield f"Verdict at kimg {kimg:.1f}: {verdict.name}."
    for finding in verdict.findings:
        yield ""
        yield f"{finding.name}, since kimg {finding.since_kimg:.1f}" + (
            "" if finding.severity == "ill" else " (to watch)")
        yield from (f"  evidence        {one}" for one in finding.evidence)
        yield f"  what to change  {finding.advice}"
    if words := rollbacks(rows):
        yield ""
        yield f"Rollbacks: {words}"


def rollbacks(rows: Sequence[Row]) -> str:
    """'2, before kimg 3.0 and 7.0'; '' if there were none."""
    counts = [row.get("progress/rollbacks", 0.0) for row in rows]
    rises = [row for row, before, now in zip(rows, [0.0, *counts], counts, strict=False)
             if now > before]
    where = " and ".join(f"{row['images_seen'] / 1000:.1f}" for row in rises)
    return f"{counts[-1]:g}, before kimg {where}" if rises else ""
