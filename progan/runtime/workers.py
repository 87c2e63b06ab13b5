"""Background threads: one job at a time, and pools of threads or processes that end early."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from progan.errors import UserError

PATIENCE_SECONDS = 2.0  # for a job to end after it was abandoned


class JobAbandoned(Exception):
    """Raised inside of a job to end it early."""


class BackgroundJob:
    """A thread that runs one job at a time.

    What a job raises is raised by the next call of `submit`, `raise_if_failed` or `wait`. At the
    end of the context the job is waited for. After KeyboardInterrupt it is abandoned instead: it
    has PATIENCE_SECONDS to end, and `raise_if_abandoned` raises in it.
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
        self._thread = threading.Thread(target=self._run_and_keep_error, args=(job,), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the job; raise what it raised."""
        self._join()
        self.raise_if_failed()

    def raise_if_failed(self) -> None:
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

    def _run_and_keep_error(self, job: Callable[[], None]) -> None:
        """Run a job, and keep its error for the next call from the main thread."""
        try:
            job()
        except BaseException as error:  # noqa: B036 (raised again in the main thread)
            self._error = error

    def _join(self) -> None:
        """Wait for the job, if there was one."""
        if self._thread is not None:
            self._thread.join()

    def _abandon(self) -> None:
        """Make `raise_if_abandoned` raise, and wait up to PATIENCE_SECONDS for the job."""
        self._abandoned.set()
        if self._thread is not None:
            self._thread.join(PATIENCE_SECONDS)


P = ParamSpec("P")
T = TypeVar("T")
_Job = tuple[Future[Any], Callable[[], Any]]
R = TypeVar("R")
_SIGNAL_CHECK_SECONDS = 1.0
GRACE_SECONDS = 2.0  # how long the running jobs of threads may take to end after a failure


class DaemonThreadPool(Executor):
    """Threads like those of ThreadPoolExecutor, but daemons.

    The interpreter joins the threads of a ThreadPoolExecutor before it exits. A read from a dead
    network disk never returns, so that the process would never end.
    """

    def __init__(self, workers: int) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._run_jobs, daemon=True) for _ in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        self._jobs.put((future, lambda: function(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end after the submitted jobs, or after the running ones."""
        if cancel_futures:
            self._cancel_waiting()
        for _ in self._threads:
            self._jobs.put(None)
        if wait:
            self.join(None)

    def join(self, seconds: float | None) -> None:
        """Wait up to `seconds` in all for the threads to end (None: without limit)."""
        deadline = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _cancel_waiting(self) -> None:
        """Cancel the futures of all jobs that no thread has begun."""
        with suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[0].cancel()

    def _run_jobs(self) -> None:
        """Run jobs until None comes from the queue; errors go to their futures."""
        while (job := self._jobs.get()) is not None:
            future, function = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: B036 (the caller of result() gets it)
                future.set_exception(error)
            del job, future, function  # an idle thread keeps no images in memory


class WorkerKilled(UserError):
    """A process of `worker_pool` was killed; the main process could go on."""


@contextmanager
def worker_pool(workers: int, *, in_processes: bool) -> Iterator[Executor]:
    """Yield a pool of threads or processes that drops its waiting jobs if the work ends early.

    After a failure or Ctrl-C, threads get GRACE_SECONDS to end what they do: a file that is being
    written becomes whole. A job that is blocked by then, such as a read from a dead network disk,
    is abandoned. Processes are killed.
    """
    if in_processes and workers > 1:
        with _open_process_pool(workers) as pool:
            yield pool
    else:
        with _open_thread_pool(workers) as pool:
            yield pool


@contextmanager
def _open_thread_pool(workers: int) -> Iterator[Executor]:
    """Yield a pool of daemon threads; after a failure its running jobs have GRACE_SECONDS."""
    pool = DaemonThreadPool(workers)
    try:
        yield pool
        pool.shutdown(wait=True)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        pool.join(GRACE_SECONDS)
        raise


@contextmanager
def _open_process_pool(workers: int) -> Iterator[Executor]:
    """Yield a pool of processes, which are killed after a failure."""
    pool = ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_parent)
    try:
        yield pool
        pool.shutdown(wait=True)
    except BaseException as error:
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)  # which forgets the processes
        for process in processes:
            # Not terminate(): a process that was forked after a signal ignores SIGTERM until it
            # is initialized, and the interpreter would wait for it at its exit.
            process.kill()
        if isinstance(error, BrokenProcessPool):
            raise WorkerKilled(
                "A worker process was killed, probably for lack of memory. Choose fewer --workers."
            ) from error
        raise


def call_interruptibly(function: Callable[[], R]) -> R:
    """Call a function in a thread of its own, so that signals are handled even if it blocks.

    Python handles signals in the main thread only, and not while a system call blocks there in
    a state that signals do not end, as reads from dead network disks do.
    """
    with worker_pool(1, in_processes=False) as pool:
        return _await_result_interruptibly(pool.submit(function))


def map_in_order(
    pool: Executor, function: Callable[[T], R], tasks: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """Yield the results in the order of the tasks, with at most `ahead` + 1 of them in memory."""
    pending: deque[Future[R]] = deque()
    for task in tasks:
        pending.append(pool.submit(function, task))
        if len(pending) > ahead:
            yield _await_result_interruptibly(pending.popleft())
    while pending:
        yield _await_result_interruptibly(pending.popleft())


def _await_result_interruptibly(future: Future[R]) -> R:
    """Return the result of a future; signals are handled while it is waited for.

    Python notes a signal and handles it between two of its operations. One that comes just before
    a wait without a limit begins would be handled after that wait: of a blocked job, never.
    """
    while not future.done():
        wait([future], timeout=_SIGNAL_CHECK_SECONDS)
    return future.result()


def _leave_interrupts_to_parent() -> None:
    """Ignore Ctrl-C and a closed terminal in a worker: they reach the whole process group.

    A worker inherits the parent's handler of SIGTERM; it shall just end.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
