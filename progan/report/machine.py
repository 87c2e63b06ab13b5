"""The section of the machine: what it was trained on, by the log, and the last lines of that."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from progan.errors import UserError
from progan.report.markup import Markup, element, facts, joined, table
from progan.report.material import Material
from progan.run_directory import LOG_FILE
from progan.runtime.log import human_seconds

LAST_LINES = 40
# The first line that train.py logs: progan 0.1.0, torch 2.11, cuda (NVIDIA H100), 2 processes
SESSION = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  progan (\S+), torch (\S+), (.+)")
HEADINGS = ("from", "progan", "torch", "device")


class Session(NamedTuple):
    """From the start of train.py to its end."""

    began: str
    version: str
    torch: str
    device: str


def section(material: Material) -> Markup:
    """Devices, memory, and the end of the log; raises UserError if nothing is known."""
    if not material.log and not material.rows:
        raise UserError(f"There is no {LOG_FILE} that could tell.")
    found = sessions(material.log)
    return joined([facts(_facts(material, found)),
                   *([table(HEADINGS, found, brief=True)] if len(found) > 1 else []),
                   element("details", element("summary", f"The last lines of {LOG_FILE}"),
                           element("pre", "\n".join(material.log[-LAST_LINES:]), tabindex="0"))])


def sessions(log: Sequence[str]) -> list[Session]:
    """All starts of train.py that a log tells of."""
    return [Session(*match.groups()) for line in log if (match := SESSION.fullmatch(line))]


def _facts(material: Material, found: Sequence[Session]) -> list[tuple[str, str]]:
    """What the last session tells, and the sums of all."""
    told = [("device", found[-1].device), ("progan", found[-1].version),
            ("torch", found[-1].torch), ("started", f"{len(found)} times" if len(found) > 1
                                         else found[0].began)] if found else []
    peaks = [row["memory/peak-gib"] for row in material.rows if "memory/peak-gib" in row]
    hours = [row["progress/hours"] for row in material.rows if "progress/hours" in row]
    return [*told, *([("peak memory", f"{max(peaks):.1f} GiB")] if peaks else []),
            *([("trained for", human_seconds(hours[-1] * 3600))] if hours else [])]
