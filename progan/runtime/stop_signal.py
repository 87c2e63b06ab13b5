"""Stop requests by signals and time limits, which take effect after the current step."""

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
    """A context in which the first signal sets `requested` and a second one stops at once.

    Slurm sends SIGUSR1 before the time limit of a job (--signal=USR1@120); a closing terminal
    sends SIGHUP.

    Args:
        max_hours: Time after which `requested` is set without a signal.
        announce: Print a line when a signal is received.
    """

    SIGNALS = tuple(
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
        if hasattr(signal, name)
    )

    def __init__(self, max_hours: float = math.inf, *, announce: bool = True) -> None:
        self.reason = ""  # for the first request: the name of a signal, or OUT_OF_TIME
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
            # Ignored signals stay ignored: Ctrl-C of a background job.
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
        """Ignore signals from now on, after this context too: the process is about to end."""
        self._finished = True

    @contextmanager
    def interrupt_immediately(self) -> Iterator[None]:
        """Raise KeyboardInterrupt at once for a signal inside this context."""
        self._at_once = True
        try:
            if self.requested:
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    @property
    def is_graceful(self) -> bool:
        """True if a stop after the current step was requested, not one at once."""
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
        with suppress(OSError):  # the terminal is gone
            # print() is not reentrant, and the signal may have interrupted one.
            os.write(sys.stderr.fileno(), b"\nStopping after this step. Once more stops at once.\n")


_entered: list[StopSignal] = []  # global, as signals are


def stop_requested() -> bool:
    """Return True if this process is to stop after the current step; False outside of StopSignal,
    and after a second signal, which stops at once."""
    return bool(_entered) and _entered[-1].is_graceful


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at once for a stop inside this context, if a StopSignal is active."""
    with _entered[-1].interrupt_immediately() if _entered else nullcontext():
        yield
