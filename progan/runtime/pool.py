"""A pool of workers whose results come in order, only a few of them ahead."""

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def worker_pool(workers: int, *, in_processes: bool) -> Iterator[Executor]:
    """Threads, or processes, that drop their waiting jobs when the work ends early."""
    pool: Executor = (ProcessPoolExecutor(workers, initializer=_leave_interrupts_to_parent)
                      if in_processes and workers > 1 else ThreadPoolExecutor(workers))
    try:
        yield pool
        pool.shutdown(wait=True)
    except BaseException:
        # Nobody waits for the work of a failed job, and impatient people press Ctrl-C again.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in list((getattr(pool, "_processes", None) or {}).values()):
            process.terminate()
        raise


def in_order(
    pool: Executor, function: Callable[[T], R], tasks: Iterable[T], *, ahead: int
) -> Iterator[R]:
    """Yield the results in the order of the tasks, with at most `ahead` + 1 of them in memory."""
    pending: deque[Future[R]] = deque()
    for task in tasks:
        pending.append(pool.submit(function, task))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _leave_interrupts_to_parent() -> None:
    """Ctrl-C and a closed terminal reach the whole process group; one process is enough to say so.

    A parent that listens to SIGTERM has passed its ears on; a worker just ends.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
