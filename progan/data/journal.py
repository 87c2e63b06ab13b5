"""How far the creation of a dataset has come, flushed to disk so that it can be continued."""

import hashlib
import json
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from progan.data.array_files import DatasetArrays
from progan.data.format import DatasetInfo, SkippedImage
from progan.runtime.files import clear_folder, write_atomically

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
    skipped: tuple[tuple[int, SkippedImage], ...] = ()
    doubtful: tuple[SkippedImage, ...] = ()

    @property
    def written(self) -> int:
        """Rows that the array files have."""
        return self.asked - len(self.skipped)

    def after(
        self,
        asked: int,
        skipped: tuple[tuple[int, SkippedImage], ...],
        doubtful: tuple[SkippedImage, ...] = (),
    ) -> "Journal":
        """The journal after more images."""
        return Journal(
            self.job, self.asked + asked, self.skipped + skipped, self.doubtful + doubtful
        )


def hash_job(plan: DatasetInfo, details: Mapping[str, Any]) -> str:
    """Hash of all that decides what is written."""
    text = plan.to_json() + json.dumps(details, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read_journal(directory: Path, job: str) -> Journal:
    """What an interrupted attempt left in `directory`; an empty journal if that is nothing.

    Raises:
        OtherJob: It was another job.
    """
    path = directory / JOURNAL_FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        journal = Journal(
            found["job"],
            int(found["asked"]),
            tuple(
                (int(number), SkippedImage(name, reason))
                for number, name, reason in found["skipped"]
            ),
            tuple(SkippedImage(name, reason) for name, reason in found["doubtful"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Journal(job)
    if journal.job != job:
        raise OtherJob(directory)
    return journal


class OtherJob(Exception):
    """A folder holds an unfinished dataset that was to become another one."""


def write_journal(directory: Path, journal: Journal) -> None:
    """Keep the journal, once the rows that it counts are on disk."""
    write_atomically(
        directory / JOURNAL_FILE,
        json.dumps(
            {
                "job": journal.job,
                "asked": journal.asked,
                "skipped": [[number, item.path, item.reason] for number, item in journal.skipped],
                "doubtful": [[item.path, item.reason] for item in journal.doubtful],
            }
        ),
    )


def journal_exists(directory: Path) -> bool:
    """Whether there is a journal, from which the creation can be continued."""
    return (directory / JOURNAL_FILE).is_file()


def remove_journal(directory: Path) -> None:
    """The dataset is whole."""
    (directory / JOURNAL_FILE).unlink(missing_ok=True)


class PeriodicFlush:
    """Waits for the disk in its own thread, while images go on being written.

    Args:
        directory: Where the arrays grow.
        seconds: Shortest time from one flush to the next.
    """

    def __init__(self, arrays: DatasetArrays, directory: Path, seconds: float) -> None:
        self._arrays = arrays
        self._directory = directory
        self._seconds = seconds
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def flush_if_due(self, journal: Journal) -> None:
        """Begin to flush what the journal counts, unless a flush runs or has run a moment ago."""
        if self._pending is not None and self._pending.done():
            self._pending.result()
            self._pending = None
        if self._pending is None and time.monotonic() > self._last + self._seconds:
            self._pending = self._thread.submit(self._flush, journal)
            self._last = time.monotonic()

    def flush(self, journal: Journal) -> None:
        """Flush what the journal counts, now."""
        if journal.asked:
            self._thread.submit(self._flush, journal).result()
        else:
            clear_folder(self._directory)

    def close(self) -> None:
        """Wait for a flush that is running."""
        self._thread.shutdown(wait=True)

    def _flush(self, journal: Journal) -> None:
        with suppress(OSError):  # of a full disk, the writing will tell
            self._arrays.flush()
            write_journal(self._directory, journal)
