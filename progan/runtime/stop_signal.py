"""Signals, and the end of the time, as a wish that is granted at the next good moment."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType, TracebackType

OUT_OF_TIME = "--max-hours"


class StopSignal:
    """Within this context the first signal only sets `requested`; a second one stops at once.

    SIGUSR1 is what Slurm is asked to send before it takes a machine away (--signal=USR1@120),
    SIGHUP what comes when a terminal is closed.

    Args:
        max_hours: After so long `requested` is set without any signal.
        announce: Whether to print that a signal was heard.
    """

    SIGNALS = tuple(
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
        if hasattr(signal, name)
    )

    def __init__(self, max_hours: float = math.inf, *, announce: bool = True) -> None:
        self.reason = ""  # the first of the wishes: the name of a signal, or OUT_OF_TIME
        self._deadline = time.monotonic() + 3600 * max_hours
        self._at_once = False
        self._signals = 0
        self._finished = False
        self._announce = announce
        self._before: dict[signal.Signals, object] = {}

    @property
    def requested(self) -> bool:
        if not self.reason and time.monotonic() >= self._deadline:
            self.reason = OUT_OF_TIME
        return bool(self.reason)

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            # What is ignored stays ignored: a background job does not listen to Ctrl-C.
            self._before = {
                number: signal.signal(number, self._note)
                for number in self.SIGNALS
                if signal.getsignal(number) != signal.SIG_IGN
            }
        _entered.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _entered.remove(self)
        for number, handler in self._before.items() if not self._finished else ():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def ignore_signals(self) -> None:
        """From here on signals change nothing, after this context too: the process is to end."""
        self._finished = True

    @contextmanager
    def interrupt_immediately(self) -> Iterator[None]:
        """A moment that is good throughout: a signal raises KeyboardInterrupt here."""
        self._at_once = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    @property
    def is_graceful(self) -> bool:
        """Whether a stop was requested, and not by a second signal to stop at once."""
        return self.requested and self._signals < 2

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._finished:
            return
        self._signals += 1
        again, self.reason = bool(self.reason), self.reason or signal.Signals(number).name
        if again or self._at_once:
            raise KeyboardInterrupt
        if not self._announce:
            return
        with suppress(OSError):  # of a terminal that is gone
            # print() could meet itself here, if the signal came in the middle of one.
            os.write(sys.stderr.fileno(), b"\nStopping after this step. Once more stops at once.\n")


_entered: list[StopSignal] = []  # signals are those of the process, and so is this


def stop_requested() -> bool:
    """Whether this process is to stop at the next good moment; False outside of Interrupts, and
    after a second signal, which does not wait for that moment."""
    return bool(_entered) and _entered[-1].is_graceful


@contextmanager
def interruptible() -> Iterator[None]:
    """Work that a stop ends at once with KeyboardInterrupt; outside of Interrupts nothing does."""
    with _entered[-1].interrupt_immediately() if _entered else nullcontext():
        yield
