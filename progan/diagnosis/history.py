"""What is known of a training: its statistics per tick, and what they mean."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from progan.config import Objective, Run
from progan.errors import UserError
from progan.run_directory import ROLLBACK_PREFIX, STATISTICS_FILE, load_config

Row = Mapping[str, float]  # statistics of a tick, by name; 'images_seen' is where it ended


class Fault(NamedTuple):
    """What made the guard of the training go back, or stop, in words, and where it says more."""

    images_seen: float
    what: str
    file: str


@dataclass(frozen=True, slots=True)
class History:
    """The ticks of a run, oldest first, and the settings that say how to read them."""

    rows: Sequence[Row]
    objective: Objective = field(default_factory=Objective)
    d_repeats: int = 1  # critic steps per generator step
    fault: Fault | None = None  # since the last tick
    final_resolution: float = 0.0  # that the networks grow to; 0: not known

    @classmethod
    def of_run(cls, rows: Sequence[Row], run: Run, fault: Fault | None = None) -> "History":
        """Join ticks with the settings of their run."""
        return cls(rows, run.objective, run.growth.d_repeats, fault,
                   float(1 << run.network.max_level))


def read_history(directory: Path) -> History:
    """Return the history of the run in a directory; raises UserError if there is none."""
    run = load_config(directory)
    rows = read_rows(directory / STATISTICS_FILE)
    ended_at = rows[-1]["images_seen"] if rows else 0.0
    faults = [fault for fault in map(_fault, sorted(directory.glob(f"{ROLLBACK_PREFIX}*.json")))
              if fault and fault.images_seen > ended_at]
    return History.of_run(rows, run, faults[-1] if faults else None)


def _fault(path: Path) -> Fault | None:
    """What a rollback left; None of a file that is none of ours."""
    try:
        told = json.loads(path.read_text("utf-8"))
        return Fault(float(told["images_seen"]), str(told["what"]), path.name)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read_rows(path: Path) -> list[Row]:
    """Return the lines of a stats.jsonl; one that was cut at the end does not count.

    Raises UserError if a line is none of ours. No file is a run before its first tick.
    """
    if not path.exists():
        return []
    lines = path.read_text("utf-8", errors="replace").split("\n")
    rows: list[Row] = []
    for number, line in enumerate(lines[:-1], start=1):  # a whole line ends with a newline
        try:
            row = json.loads(line)
            if not float(row["images_seen"]) >= 0:
                raise ValueError
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}, line {number} is not a line of statistics. Remove it, or "
                            "resume the run, which repairs the file.") from error
        rows.append({name: float(value) for name, value in row.items()
                     if isinstance(value, (int, float))})
    return rows
