"""The first signal is a wish, the second one an order."""

import os
import signal

import pytest

from progan.runtime.interrupts import Interrupts


@pytest.mark.parametrize("number", Interrupts.SIGNALS)
def test_a_wish_and_an_order(number: signal.Signals) -> None:
    outside = signal.getsignal(number)
    signal.signal(number, signal.default_int_handler)  # a background job ignores Ctrl-C
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == signal.default_int_handler
    signal.signal(number, outside)


def test_what_is_ignored_stays_ignored() -> None:
    outside = signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert not interrupts.requested
    signal.signal(signal.SIGINT, outside)
