"""One job at a time, no error lost, and a way out at once."""

import threading

import pytest

from progan.runtime.background_job import BackgroundJob, JobAbandoned


def fail() -> None:
    raise OSError("the disk is full")


def test_a_job_runs_beside_and_the_next_one_waits_for_it() -> None:
    go_on, done = threading.Event(), []

    def first() -> None:
        go_on.wait()
        done.append("first")

    with BackgroundJob() as background:
        background.submit(first)
        background.check()
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
    background.check()


def test_check_raises_what_has_failed_without_waiting() -> None:
    background, go_on = BackgroundJob(), threading.Event()

    def fail_later() -> None:
        go_on.wait()
        fail()

    background.submit(fail_later)
    background.check()
    go_on.set()
    background._join()
    with pytest.raises(OSError, match="disk is full"):
        background.check()


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
