"""Status section: the training diagnostics with their evidence, and the progress of the run."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from progan.diagnosis.diagnose import diagnose
from progan.diagnosis.history import read_history
from progan.diagnosis.status import Status, coverage_facts, explain_status, format_rollbacks
from progan.errors import UserError
from progan.report.run_data import RunData
from progan.runtime.text import human_rate, human_seconds

# Starts of the last line of the log of a run that has ended, after the time; the last one is of
# earlier versions.
DONE, DIVERGED = "  Done", ("  Training diverged", "  The training has left the numbers")
STOPPED = re.compile(r"[\d: -]{19}  Stopped (.+?)(?:; |\. |$)")
STOPPED_AT = re.compile(r"at kimg (\d+(?:\.\d+)?)$")


def build_section(data: RunData) -> dict[str, Any]:
    """Return the diagnosis, or a message in its place, and the progress."""
    message, diagnosis = "", {}
    try:
        history = read_history(data.directory)
        if history.rows or history.rollback:
            found = diagnose(history)
            diagnosis = {
                "status": found,
                "css_class": status_class(found),
                "explanation": explain_status(found).capitalize(),
                "facts": list(coverage_facts(found)),
                "rollbacks": format_rollbacks(history.rows),
            }
        else:
            message = "There is no status yet: it comes with the first ticks."
    except UserError as error:
        message = f"There is no status: {error}"
    progress = {
        "kimg": kimg_at_end(data),
        "total_kimg": data.settings.growth.total_kimg if data.settings else None,
        "facts": [("the run", describe_state(data.log)), *_progress_facts(data)],
    }
    return {"message": message, "diagnosis": diagnosis, "progress": progress}


def describe_state(log: Sequence[str]) -> str:
    """Return whether the run ended, stopped or may still be training, by the last log line."""
    last = log[-1] if log else ""
    if DONE in last[:30]:
        return "has ended"
    if any(start in last[:60] for start in DIVERGED):
        return "has stopped, as its numbers were not finite or far too large"
    if stop := STOPPED.match(last):
        return f"was stopped {stop[1]}"
    return f"was training at {last[:19]}, and may still be" if last else "has no log"


def kimg_at_end(data: RunData) -> float:
    """Return the kimg of the last tick, or where the run was stopped after it."""
    stop = STOPPED.match(data.log[-1]) if data.log else None
    place = STOPPED_AT.search(stop[1]) if stop else None
    return max(float(place[1]) if place else 0.0, data.kimg)


def status_class(status: Status) -> str:
    """Return the CSS class that colours a status: 'failing', 'warning' or 'none'."""
    if status.findings:
        return "failing" if status.failing else "warning"
    return "none"


def _progress_facts(data: RunData) -> Iterator[tuple[str, str]]:
    if not data.rows:
        return
    last = data.rows[-1]
    if stage := data.describe_stage(last["images_seen"]):
        yield "resolution", stage
    if "progress/hours" in last:
        yield "time", human_seconds(last["progress/hours"] * 3600)
    if "speed/images-per-second" in last:
        yield "speed", f"{human_rate(last['speed/images-per-second'])} images/s"
