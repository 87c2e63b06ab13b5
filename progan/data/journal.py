"""How far the creation of a dataset has come, so that it can be continued."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progan.data.format import DatasetInfo, Skipped
from progan.runtime.files import write_atomically

JOURNAL_FILE = "journal.json"


@dataclass(frozen=True, slots=True)
class Journal:
    """What has been written.

    Attributes:
        job: Names what is being made; another job must not be continued.
        asked: Images that have been read, or tried to be.
        skipped: Those of them that are left out, by number and as they are listed.
        doubtful: Those that are written and had better be left out.
    """

    job: str
    asked: int = 0
    skipped: tuple[tuple[int, Skipped], ...] = ()
    doubtful: tuple[Skipped, ...] = ()

    @property
    def written(self) -> int:
        """Rows that the array files have."""
        return self.asked - len(self.skipped)

    def after(
        self, asked: int, skipped: tuple[tuple[int, Skipped], ...],
        doubtful: tuple[Skipped, ...] = (),
    ) -> "Journal":
        """The journal after more images."""
        return Journal(self.job, self.asked + asked, self.skipped + skipped,
                       self.doubtful + doubtful)


def job_of(plan: DatasetInfo, details: Mapping[str, Any]) -> str:
    """Hash of all that decides what is written."""
    text = plan.to_json() + json.dumps(details, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read(directory: Path, job: str) -> Journal:
    """What an interrupted attempt left in `directory`; an empty journal if that is nothing.

    Raises:
        OtherJob: It was another job.
    """
    path = directory / JOURNAL_FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        journal = Journal(found["job"], int(found["asked"]), tuple(
            (int(number), Skipped(name, reason)) for number, name, reason in found["skipped"]),
            tuple(Skipped(name, reason) for name, reason in found["doubtful"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Journal(job)
    if journal.job != job:
        raise OtherJob(directory)
    return journal


class OtherJob(Exception):
    """A folder holds an unfinished dataset that was to become another one."""


def write(directory: Path, journal: Journal) -> None:
    """Keep the journal, once the rows that it counts are on disk."""
    write_atomically(directory / JOURNAL_FILE, json.dumps({
        "job": journal.job, "asked": journal.asked,
        "skipped": [[number, item.path, item.reason] for number, item in journal.skipped],
        "doubtful": [[item.path, item.reason] for item in journal.doubtful]}))


def exists(directory: Path) -> bool:
    """Whether there is a journal, from which the creation can be continued."""
    return (directory / JOURNAL_FILE).is_file()


def remove(directory: Path) -> None:
    """The dataset is whole."""
    (directory / JOURNAL_FILE).unlink(missing_ok=True)
