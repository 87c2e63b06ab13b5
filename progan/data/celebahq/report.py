"""What became of each face: lines of JSON that several processes write."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from progan.errors import UserError
from progan.runtime.files import named_errors, staging_path, write_atomically

REPORT_FILE = "celebahq.jsonl"

Status = Literal[
    "exact",
    "approximate",
    "made",
    "only approximate",
    "wrong JPEG",
    "bad delta",
    "unreadable",
    "missing",
    "judged",
    "not selected",
]
KEPT: tuple[Status, ...] = ("exact", "approximate", "made")
ORDER: tuple[Status, ...] = (
    *KEPT,
    "only approximate",
    "wrong JPEG",
    "bad delta",
    "unreadable",
    "missing",
    "not selected",
)


@dataclass(frozen=True, slots=True)
class Report:
    """A file that grows by a line for each face, in any order; the last line of a face counts."""

    path: Path

    def add(self, face: int, name: str, status: Status, **details: Any) -> None:
        """Append a line. One small write to the end of a file is not torn apart by others."""
        line = json.dumps({"face": face, "file": name, "status": status, **details}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            with named_errors(self.path):
                os.write(handle, line.encode())
        finally:
            os.close(handle)

    def lines(self) -> list[dict[str, Any]]:
        """What is known of each face, in their order; those in the dataset have their `row`."""
        text = self.path.read_text("utf-8") if self.path.is_file() else ""
        latest = {line["face"]: line for line in map(_parse_line, text.splitlines()) if line}
        lines = [latest[face] for face in sorted(latest)]
        for row, line in enumerate(line for line in lines if line["status"] in KEPT):
            line["row"] = row
        return lines

    def qualities(self) -> dict[int, float]:
        """Face -> quality, of those that were judged before an interruption."""
        return {line["face"]: line["quality"] for line in self.lines() if "quality" in line}

    def has_scores(self) -> bool:
        """Whether faces were judged to choose among them: the work of hours."""
        return any(line["status"] in ("judged", "not selected") for line in self.lines())


@contextmanager
def temporary_report(dest: Path, options: Mapping[str, Any]) -> Iterator[Report]:
    """A hidden file beside `dest`, with what an interrupted attempt with these options left.

    Once the work is done, it is removed; after a mistake of the user's, too, unless something
    can be continued.
    """
    deciding = {
        name: options[name] for name in sorted(options) if name not in ("on_error", "holdout")
    }
    key = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]
    dest = dest.resolve()
    report = Report(dest.with_name(f".{dest.name}.{key}.{REPORT_FILE}"))
    made = [folder for folder in report.path.parents if not folder.exists()]
    report.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield report
    except UserError:
        if not staging_path(dest).exists() and not report.has_scores():
            report.path.unlink(missing_ok=True)
        raise
    else:
        report.path.unlink(missing_ok=True)
    finally:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def write_report(report: Report, dataset: Path) -> str:
    """Write the report into the dataset, and return one line that sums it up."""
    lines = report.lines()
    write_atomically(dataset / REPORT_FILE, "".join(json.dumps(line) + "\n" for line in lines))
    counts = Counter(line["status"] for line in lines)
    told = ", ".join(f"{counts[status]:,} {status}" for status in ORDER if counts[status])
    unwrapped = sum(line.get("unwrapped", 0) for line in lines)
    wraps = f" ({unwrapped:,} values unwrapped at black and white)" * bool(unwrapped)
    return f"{told}{wraps}; each face is in {dataset / REPORT_FILE}."


def _parse_line(text: str) -> dict[str, Any] | None:
    """A line, or None for what a crash has torn."""
    try:
        line: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return line
