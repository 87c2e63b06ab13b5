"""Keep what there is of a dataset in the making, on disk and in its journal, while it grows."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from progan.data.dataset_arrays import DatasetArrays
from progan.data.journal import Journal
from progan.data.journal import write as write_journal
from progan.runtime.files import clear


class Keeper:
    """Waits for the disk in a thread of its own: images go on being written meanwhile.

    Args:
        directory: Where the arrays grow.
        seconds: How often it keeps them.
    """

    def __init__(self, arrays: DatasetArrays, directory: Path, seconds: float) -> None:
        self._arrays = arrays
        self._directory = directory
        self._seconds = seconds
        self._last = time.monotonic()
        self._thread = ThreadPoolExecutor(1)
        self._keeping: Future[None] | None = None

    def offer(self, journal: Journal) -> None:
        """Begin to keep what the journal counts, unless that has been done a moment ago."""
        if self._keeping is not None and self._keeping.done():
            self._keeping.result()
            self._keeping = None
        if self._keeping is None and time.monotonic() > self._last + self._seconds:
            self._keeping = self._thread.submit(self._keep, journal)
            self._last = time.monotonic()

    def keep(self, journal: Journal) -> None:
        """Keep what the journal counts, now."""
        if journal.asked:
            self._thread.submit(self._keep, journal).result()
        else:
            clear(self._directory)

    def close(self) -> None:
        """Wait for what is being kept."""
        self._thread.shutdown(wait=True)

    def _keep(self, journal: Journal) -> None:
        with suppress(OSError):  # of a full disk, the writing will tell
            self._arrays.flush()
            write_journal(self._directory, journal)
