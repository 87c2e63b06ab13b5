"""The first signal is a wish, the second one an order."""

import os
import signal

import pytest

from progan.runtime.stop_signal import OUT_OF_TIME, StopSignal


@pytest.mark.parametrize("number", StopSignal.SIGNALS)
def test_a_wish_and_an_order(number: signal.Signals) -> None:
    outside = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)  # a background job ignores Ctrl-C
    with StopSignal() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert interrupts.requested and interrupts.reason == number.name
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.default_int_handler
    signal.signal(number, outside)


def test_what_is_ignored_stays_ignored() -> None:
    outside = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignal() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.requested
    signal.signal(signal.SIGINT, outside)


def test_the_end_of_the_time_is_a_wish_too() -> None:
    with StopSignal(max_hours=0) as interrupts:
        assert interrupts.requested and interrupts.reason == OUT_OF_TIME
    with StopSignal(max_hours=1) as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested and interrupts.reason == "SIGTERM"


def test_where_every_moment_is_good_the_first_signal_is_an_order() -> None:
    with StopSignal() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.interrupt_immediately():
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt), interrupts.interrupt_immediately():
            raise AssertionError("it was requested before")
