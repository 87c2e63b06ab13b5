"""A pool of workers whose results come in order, only a few of them ahead."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

from progan.runtime.daemon_pool import DaemonThreadPool

T = TypeVar("T")
R = TypeVar("R")
_SIGNAL_CHECK_SECONDS = 1.0
GRACE_SECONDS = 2.0  # how long the running jobs of threads may take to end after a failure


@contextmanager
def worker_pool(workers: int, *, in_processes: bool) -> Iterator[Executor]:
    """Threads, or processes, that drop their waiting jobs when the work ends early.

    After a failure or Ctrl-C, threads get GRACE_SECONDS to end what they do: a file that is being
    written becomes whole. A job that is blocked by then, such as a read from a dead network disk,
    is abandoned. Processes are terminated.
    """
    if in_processes and workers > 1:
        with _processes(workers) as pool:
            yield pool
    else:
        with _threads(workers) as pool:
            yield pool


@contextmanager
def _threads(workers: int) -> Iterator[Executor]:
    pool = DaemonThreadPool(workers)
    try:
        yield pool
        pool.shutdown(wait=True)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        pool.join(GRACE_SECONDS)
        raise


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    pool = ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_parent)
    try:
        yield pool
        pool.shutdown(wait=True)
    except BaseException:
        processes = list((getattr(pool, "_processes", None) or {}).values())
        pool.shutdown(wait=False, cancel_futures=True)  # afterwards it knows no processes
        for process in processes:
            process.terminate()
        raise


def call_interruptibly(function: Callable[[], R]) -> R:
    """Call a function in a thread of its own, so that signals are handled even if it blocks.

    Python handles signals in the main thread only, and not while a system call blocks there in
    a state that signals do not end, as reads from dead network disks do.
    """
    with worker_pool(1, in_processes=False) as pool:
        return _await_result(pool.submit(function))


def in_order(
    pool: Executor, function: Callable[[T], R], tasks: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """Yield the results in the order of the tasks, with at most `ahead` + 1 of them in memory."""
    pending: deque[Future[R]] = deque()
    for task in tasks:
        pending.append(pool.submit(function, task))
        if len(pending) > ahead:
            yield _await_result(pending.popleft())
    while pending:
        yield _await_result(pending.popleft())


def _await_result(future: Future[R]) -> R:
    """Return the result of a future; signals are handled while it is waited for.

    Python notes a signal and handles it between two of its operations. One that comes just before
    a wait without a limit begins would be handled after that wait: of a blocked job, never.
    """
    while not future.done():
        wait([future], timeout=_SIGNAL_CHECK_SECONDS)
    return future.result()


def _leave_interrupts_to_parent() -> None:
    """Ctrl-C and a closed terminal reach the whole process group; one process is enough to say so.

    A parent that listens to SIGTERM has passed its ears on; a worker just ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
