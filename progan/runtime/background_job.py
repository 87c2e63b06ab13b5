"""Work behind the back of the main thread: one job at a time, and no error is lost."""

import threading
from collections.abc import Callable
from types import TracebackType

PATIENCE_SECONDS = 2.0  # for a job that was told to stop


class JobAbandoned(Exception):
    """Raised inside of a job whose result nobody waits for any more."""


class BackgroundJob:
    """Does one job at a time in a thread.

    What a job raises is raised by the next call of `submit`, `check` or `wait`. At the end of
    the context the job is waited for, unless the process was told to stop at once: then it is
    `abandoned`, which a long job looks at now and then, to raise `JobAbandoned`.
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
        """Start a job, once the one before has ended."""
        self.wait()
        self._thread = threading.Thread(target=self._work, args=(job,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the job; raise what it raised."""
        self._join()
        self.check()

    def check(self) -> None:
        """Raise what a job raised, if one did; do not wait for any."""
        if self._error is not None and not self.running:
            error, self._error = self._error, None
            raise error

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._thread is not None and self._thread.is_alive()

    def raise_if_abandoned(self) -> None:
        """Raise `JobAbandoned` if nobody waits any more; to be called by jobs."""
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
