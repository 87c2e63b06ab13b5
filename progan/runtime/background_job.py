"""Run one job at a time in a background thread, and raise its errors in the main thread."""

import threading
from collections.abc import Callable
from types import TracebackType

PATIENCE_SECONDS = 2.0  # for a job to end after it was abandoned


class JobAbandoned(Exception):
    """Raised inside of a job to end it early."""


class BackgroundJob:
    """A thread that runs one job at a time.

    What a job raises is raised by the next call of `submit`, `check` or `wait`. At the end of
    the context the job is waited for. After KeyboardInterrupt it is abandoned instead: it has
    PATIENCE_SECONDS to end, and `raise_if_abandoned` raises in it.
    """

    def __init__(self) -> None:
        self._abandoned = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> "BackgroundJob":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self.wait()
            elif issubclass(kind, Exception):
                self._join()
        except KeyboardInterrupt:
            self._abandon()
            raise
        if kind is not None and not issubclass(kind, Exception):
            self._abandon()

    def submit(self, job: Callable[[], None]) -> None:
        """Start a job after the previous one has ended."""
        self.wait()
        self._thread = threading.Thread(target=self._work, args=(job,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the job; raise what it raised."""
        self._join()
        self.check()

    def check(self) -> None:
        """Raise what the last job raised, if it has ended; do not wait."""
        if self._error is not None and not self.running:
            error, self._error = self._error, None
            raise error

    @property
    def running(self) -> bool:
        """True while a job is running."""
        return self._thread is not None and self._thread.is_alive()

    def raise_if_abandoned(self) -> None:
        """Raise `JobAbandoned` if the job is to end early; long jobs call it regularly."""
        if self._abandoned.is_set():
            raise JobAbandoned

    def _work(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: B036 (raised again in the main thread)
            self._error = error

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _abandon(self) -> None:
        self._abandoned.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)
