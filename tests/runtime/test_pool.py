"""Results in order, from workers that are only a little ahead."""

import signal
import time
from contextlib import suppress

import pytest

from progan.runtime.pool import in_order, worker_pool


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_only_a_few_ahead(workers: int) -> None:
    started: list[int] = []

    def slow_when_even(task: int) -> int:
        started.append(task)
        time.sleep(0.01 * (task % 2 == 0))
        return task * task

    with worker_pool(workers, in_processes=False) as pool:
        results = in_order(pool, slow_when_even, range(20), ahead=4)
        assert next(results) == 0
        time.sleep(0.1)
        assert sorted(started) == [0, 1, 2, 3, 4]
        assert list(results) == [task * task for task in range(1, 20)]


def test_waiting_jobs_are_dropped_when_the_work_ends_early() -> None:
    started: list[int] = []

    def slow(task: int) -> None:
        started.append(task)
        time.sleep(0.05)

    with suppress(ZeroDivisionError), worker_pool(1, in_processes=False) as pool:
        next(in_order(pool, slow, range(100), ahead=50))
        raise ZeroDivisionError
    assert len(started) < 10


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_processes_leave_ctrl_c_and_closed_terminals_to_their_parent(name: str) -> None:
    if (number := getattr(signal, name, None)) is None:
        pytest.skip(f"there is no {name}")
    with worker_pool(2, in_processes=True) as pool:
        assert pool.submit(signal.getsignal, number).result() == signal.SIG_IGN


def test_processes_work_too() -> None:
    with worker_pool(2, in_processes=True) as pool:
        assert list(in_order(pool, abs, range(-5, 0), ahead=2)) == [5, 4, 3, 2, 1]
