"""Journal of the creation of a dataset, from which an interrupted one is continued."""

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
from progan.errors import UserError
from progan.runtime.files import clear_folder, write_atomically

JOURNAL_FILE = "journal.json"


@dataclass(frozen=True, slots=True)
class Journal:
    """Progress of the creation of a dataset."""

    job: str  # hash of what is being made; another job must not be continued
    asked: int = 0  # images that have been read, or tried to be
    skipped: tuple[tuple[int, SkippedImage], ...] = ()  # those left out, by number
    doubtful: tuple[SkippedImage, ...] = ()  # those written that had better be left out

    @property
    def written(self) -> int:
        """Number of rows that the array files have."""
        return self.asked - len(self.skipped)

    def advance(
        self,
        asked: int,
        skipped: tuple[tuple[int, SkippedImage], ...],
        doubtful: tuple[SkippedImage, ...] = (),
    ) -> "Journal":
        """Return the journal after `asked` more images, of which some were skipped."""
        return Journal(
            self.job, self.asked + asked, self.skipped + skipped, self.doubtful + doubtful
        )


def hash_job(plan: DatasetInfo, details: Mapping[str, Any]) -> str:
    """Hash everything that decides the content of the dataset."""
    text = plan.to_json() + json.dumps(details, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def read_journal(directory: Path, job: str, dest: Path) -> Journal:
    """Read the journal of an interrupted attempt at `dest`, or return an empty one.

    Raises:
        UserError: It was another job.
        OSError: There is one, and the disk does not give it.
    """
    path = directory / JOURNAL_FILE
    try:
        found = json.loads(path.read_text("utf-8"))
        skipped = [(int(number), SkippedImage(*item)) for number, *item in found["skipped"]]
        doubtful = [SkippedImage(*item) for item in found["doubtful"]]
        journal = Journal(found["job"], int(found["asked"]), tuple(skipped), tuple(doubtful))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Journal(job)
    if journal.job != job:
        raise UserError(
            f"{directory} holds an unfinished dataset of other images or options than those of "
            f"{dest} now. Repeat the command that began it with the same images, or remove it."
        )
    return journal


def write_journal(directory: Path, journal: Journal) -> None:
    """Write the journal, once the rows that it counts are on disk."""
    document = {
        "job": journal.job,
        "asked": journal.asked,
        "skipped": [[number, item.path, item.reason] for number, item in journal.skipped],
        "doubtful": [[item.path, item.reason] for item in journal.doubtful],
    }
    write_atomically(directory / JOURNAL_FILE, json.dumps(document))


def journal_exists(directory: Path) -> bool:
    """Check if there is a journal, from which the creation can be continued.

    Raises OSError if the disk does not say: then nothing may be removed.
    """
    try:
        (directory / JOURNAL_FILE).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def remove_journal(directory: Path) -> None:
    """Remove the journal, if there is one."""
    (directory / JOURNAL_FILE).unlink(missing_ok=True)


class PeriodicFlush:
    """Flush arrays and journal in a thread, at most once in `seconds`, while images are written."""

    def __init__(self, arrays: DatasetArrays, directory: Path, seconds: float) -> None:
        self._arrays, self._directory, self._seconds = arrays, directory, seconds
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1)
        self._pending: Future[None] | None = None

    def flush_if_due(self, journal: Journal) -> None:
        """Start to flush the rows that the journal counts, unless a flush runs or was recent."""
        if self._pending is not None and self._pending.done():
            self._pending.result()
            self._pending = None
        if self._pending is None and time.monotonic() > self._last + self._seconds:
            self._pending = self._thread.submit(self._flush, journal)
            self._last = time.monotonic()

    def flush_or_clear(self, journal: Journal) -> None:
        """Flush the rows that the journal counts, and wait; without any, clear the folder."""
        if journal.asked:
            self._thread.submit(self._flush, journal).result()
        else:
            clear_folder(self._directory)

    def close(self) -> None:
        """Wait for a flush that is running."""
        self._thread.shutdown(wait=True)

    def _flush(self, journal: Journal) -> None:
        """Flush the arrays, then write the journal; OSErrors are left to the next write."""
        with suppress(OSError):  # a full disk will be reported by the next write
            self._arrays.flush()
            write_journal(self._directory, journal)
