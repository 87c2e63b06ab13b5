"""The first signal is a wish, the second one an order."""

import os
import signal

import pytest

from progan.runtime.interrupts import Interrupts


@pytest.mark.parametrize("number", Interrupts.SIGNALS)
def test_a_wish_and_an_order(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert not interrupts.requested
        os.kill(os.getpid(), number)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
