"""One job at a time, no error lost, and a way out at once."""

import signal
import sys
import threading
import time
import weakref
from contextlib import suppress

import pytest

from progan.runtime.workers import (
    BackgroundJob,
    JobAbandoned,
    call_interruptibly,
    map_in_order,
    worker_pool,
)
from tests.builders import in_foreground


def fail() -> None:
    raise OSError("the disk is full")


def test_a_job_runs_beside_and_the_next_one_waits_for_it() -> None:
    go_on, done = threading.Event(), []

    def first() -> None:
        go_on.wait()
        done.append("first")

    with BackgroundJob() as background:
        background.submit(first)
        background.raise_if_failed()
        assert not done
        go_on.set()
        background.submit(lambda: done.append("second"))
        assert done[0] == "first"
    assert done == ["first", "second"]


@pytest.mark.parametrize(
    "ask", [BackgroundJob.wait, lambda background: background.submit(fail)], ids=["wait", "submit"]
)
def test_an_error_is_raised_at_the_next_call_and_once(ask: object) -> None:
    background = BackgroundJob()
    background.submit(fail)
    with pytest.raises(OSError, match="disk is full"):
        ask(background)  # type: ignore[operator]
    background.raise_if_failed()


def test_check_raises_what_has_failed_without_waiting() -> None:
    background, go_on = BackgroundJob(), threading.Event()

    def fail_later() -> None:
        go_on.wait()
        fail()

    background.submit(fail_later)
    background.raise_if_failed()
    go_on.set()
    background._join()
    with pytest.raises(OSError, match="disk is full"):
        background.raise_if_failed()


def test_the_end_waits_and_raises() -> None:
    with pytest.raises(OSError, match="disk is full"), BackgroundJob() as background:
        background.submit(fail)


def test_an_error_of_the_main_thread_comes_first_but_the_job_ends() -> None:
    done: list[int] = []
    go_on = threading.Event()

    def work() -> None:
        go_on.wait()
        done.append(1)
        fail()

    with pytest.raises(ValueError, match="mine"), BackgroundJob() as background:
        background.submit(work)
        go_on.set()
        raise ValueError("mine")
    assert done


def test_whoever_has_no_time_abandons_the_job() -> None:
    started, ended = threading.Event(), []

    def work() -> None:
        started.set()
        try:
            while True:
                background.raise_if_abandoned()
        except JobAbandoned:
            ended.append(1)

    background = BackgroundJob()
    with pytest.raises(KeyboardInterrupt), background:
        background.submit(work)
        started.wait()
        raise KeyboardInterrupt
    assert ended


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order_and_only_a_few_ahead(workers: int) -> None:
    started: list[int] = []

    def slow_when_even(task: int) -> int:
        started.append(task)
        time.sleep(0.01 * (task % 2 == 0))
        return task * task

    with worker_pool(workers, in_processes=False) as pool:
        results = map_in_order(pool, slow_when_even, range(20), ahead=4)
        assert next(results) == 0
        patience = time.monotonic() + 60
        while len(started) < 5 and time.monotonic() < patience:
            time.sleep(0.01)
        time.sleep(0.1)  # in which no more may begin
        assert sorted(started) == [0, 1, 2, 3, 4]
        assert list(results) == [task * task for task in range(1, 20)]


def test_waiting_jobs_are_dropped_when_the_work_ends_early() -> None:
    started: list[int] = []

    def slow(task: int) -> None:
        started.append(task)
        time.sleep(0.05)

    with suppress(ZeroDivisionError), worker_pool(1, in_processes=False) as pool:
        next(map_in_order(pool, slow, range(100), ahead=50))
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
        assert list(map_in_order(pool, abs, range(-5, 0), ahead=2)) == [5, 4, 3, 2, 1]


BLOCKED = r"""
import os, signal, sys, threading
from progan.runtime.workers import call_interruptibly, map_in_order, worker_pool

read, write = os.pipe()

def kill_itself(task: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_named() -> None:
    with pytest.raises(WorkerKilled, match="A worker process was killed, probably for lack of"):
        with worker_pool(2, in_processes=True) as pool:
            list(map_in_order(pool, kill_itself, range(2), ahead=2))


def block(task):
    os.write(1, b"reading\n")  # at once: print() of two threads may mix text and line ends
    return os.read(read, 1)

signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    if sys.argv[1] == "call":
        call_interruptibly(lambda: block(0))
    with worker_pool(2, in_processes=sys.argv[1] == "processes") as pool:
        list(map_in_order(pool, block, range(3), ahead=2))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", ["threads", "processes", "call"])
def test_a_job_that_never_ends_does_not_keep_the_program(kind: str, number: int) -> None:
    with in_foreground(sys.executable, "-c", BLOCKED, kind) as process:
        assert process.stdout is not None and process.stdout.readline() == "reading\n"
        process.send_signal(number)
        process.communicate(timeout=60)  # until no worker has the pipe open
        assert process.returncode == 130


def test_a_running_job_of_a_thread_ends_what_it_does_before_a_failure_is_told() -> None:
    ended = []

    def write(task: int) -> None:
        started.set()
        time.sleep(0.1)
        ended.append(task)

    started = threading.Event()
    with suppress(ZeroDivisionError), worker_pool(1, in_processes=False) as pool:
        pool.submit(write, 1)
        started.wait()
        raise ZeroDivisionError
    assert ended == [1]


def test_errors_of_a_thread_reach_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        call_interruptibly(lambda: 1 // 0)


def test_an_idle_thread_keeps_no_result() -> None:
    class Images:
        """Stands for the pixels of a chunk."""

    with worker_pool(1, in_processes=False) as pool:
        future = pool.submit(Images)
        kept = weakref.ref(future.result())
        del future
        deadline = time.monotonic() + 10
        while kept() is not None and time.monotonic() < deadline:
            time.sleep(0.001)
        assert kept() is None
