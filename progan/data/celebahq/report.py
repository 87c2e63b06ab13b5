"""Report of each face: lines of JSON that several processes write."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from progan.errors import UserError
from progan.runtime.files import name_file_in_errors, staging_path, write_atomically

REPORT_FILE = "celebahq.jsonl"

Status = Literal[
    # fmt: off
    "exact",
    "approximate",
    "made",
    "only approximate",
    "wrong JPEG",
    "bad delta",
    "unreadable",
    "missing",
    "not selected",
    "judged",
    # fmt: on
]
ORDER = get_args(Status)[:-1]  # in the summary
KEPT = ORDER[:3]  # statuses of the faces in the dataset


@dataclass(frozen=True, slots=True)
class Report:
    """A file that grows by a line for each face, in any order; the last line of a face counts."""

    path: Path

    def add(self, face: int, name: str, status: Status, **details: Any) -> None:
        """Append the line of a face in one small write, which other processes cannot tear apart."""
        line = json.dumps({"face": face, "file": name, "status": status, **details}) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            with name_file_in_errors(self.path):
                os.write(handle, line.encode())
        finally:
            os.close(handle)

    def read_last_lines(self) -> list[dict[str, Any]]:
        """Return the last line of each face, sorted; those in the dataset have their `row`."""
        text = self.path.read_text("utf-8") if self.path.is_file() else ""
        latest: dict[int, dict[str, Any]] = {}
        for written in text.splitlines():
            with suppress(ValueError):  # a line torn by a crash
                line = json.loads(written)
                latest[line["face"]] = line
        lines = [latest[face] for face in sorted(latest)]
        for row, line in enumerate(line for line in lines if line["status"] in KEPT):
            line["row"] = row
        return lines

    def read_qualities(self) -> dict[int, float]:
        """Return face -> quality of those that were judged before an interruption."""
        return {
            line["face"]: line["quality"] for line in self.read_last_lines() if "quality" in line
        }

    def has_judged_faces(self) -> bool:
        """True if faces were judged for the selection of the best, which takes hours."""
        return any(line["status"] in ("judged", "not selected") for line in self.read_last_lines())


@contextmanager
def open_temporary_report(dest: Path, options: Mapping[str, Any]) -> Iterator[Report]:
    """Yield a report in a hidden file beside `dest`, that of an interrupted attempt if any.

    The file is removed after success, and after a UserError unless work can be continued.
    """
    names = sorted(set(options) - {"on_error", "holdout"})
    deciding = {name: options[name] for name in names}
    key = hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]
    dest = dest.resolve()
    report = Report(dest.with_name(f".{dest.name}.{key}.{REPORT_FILE}"))
    created = [folder for folder in report.path.parents if not folder.exists()]
    report.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield report
    except UserError:
        if not staging_path(dest).exists() and not report.has_judged_faces():
            report.path.unlink(missing_ok=True)
        raise
    else:
        report.path.unlink(missing_ok=True)
    finally:
        for folder in created:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def write_report(report: Report, dataset: Path) -> str:
    """Write the report into the dataset, and return a summary in one line."""
    lines = report.read_last_lines()
    write_atomically(dataset / REPORT_FILE, "".join(json.dumps(line) + "\n" for line in lines))
    counts = Counter(line["status"] for line in lines)
    summary = ", ".join(f"{counts[status]:,} {status}" for status in ORDER if counts[status])
    unwrapped = sum(line.get("unwrapped", 0) for line in lines)
    wraps = f" ({unwrapped:,} values unwrapped at black and white)" * bool(unwrapped)
    return f"{summary}{wraps}; each face is in {dataset / REPORT_FILE}."
