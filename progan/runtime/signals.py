"""Handle signals: while a command is imported, and as stop requests after the current step.

Imports only small modules of the standard library, to be set up early.
"""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType, TracebackType

EXIT_INTERRUPTED = 130  # what shells report for Ctrl-C: 128 + SIGINT
EXIT_RESUMABLE = 75  # sysexits' EX_TEMPFAIL: stopped on request; the same training can be resumed
# SIGHUP comes when a terminal is closed or a connection breaks, SIGUSR1 when Slurm is about to
# take a machine away; Windows has neither.
SIGNALS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if hasattr(signal, name)
)


def install_early_handlers(*, is_training: bool = False) -> None:
    """Install handlers that end the process without a traceback, until the command installs others.

    Args:
        is_training: SIGUSR1 exits with the code that asks Slurm scripts to requeue.
    """
    for number in SIGNALS:
        # Ignored signals stay ignored: Ctrl-C of a background job.
        if signal.getsignal(number) != signal.SIG_IGN:
            resumable = is_training and choose_early_exit_code(number) == EXIT_RESUMABLE
            signal.signal(number, exit_resumable if resumable else exit_interrupted)


def choose_early_exit_code(number: int) -> int:
    """Return the exit code of a training that a signal ends before its first step.

    SIGUSR1 is the signal by which Slurm announces the end of the time; nothing is lost, and the
    script is to requeue the job. torchrun takes any code but 0 for a failure.
    """
    requeued = number == getattr(signal, "SIGUSR1", None) and not _has_launcher()
    return EXIT_RESUMABLE if requeued else EXIT_INTERRUPTED


def exit_interrupted(number: int, frame: FrameType | None) -> None:
    """Exit without a traceback; nothing has been done yet."""
    _exit(EXIT_INTERRUPTED)


def exit_resumable(number: int, frame: FrameType | None) -> None:
    """Exit without a traceback, with the code of a training that can be resumed."""
    _exit(EXIT_RESUMABLE)


def _exit(code: int) -> None:
    """Print 'Interrupted.' in the main process, and end this one at once, without cleanup."""
    if is_main_process():
        with suppress(OSError):  # the terminal is gone
            os.write(sys.stderr.fileno(), b"\nInterrupted.\n")
    os._exit(code)


def is_main_process() -> bool:
    """True for the process that prints: rank 0 of torchrun's, or one without torchrun."""
    return not _has_launcher() or os.environ.get("RANK", "0") == "0"


def _has_launcher() -> bool:
    """True if torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


OUT_OF_TIME = "--max-hours"
# Slurm signals every process of a job, and torchrun forwards what it received itself: a process
# that it started gets the same signal twice.
FORWARDING_SECONDS = 2.0


class StopSignal:
    """A context in which the first signal requests a stop and a second one stops at once.

    Slurm sends SIGUSR1 before the time limit of a job (--signal=USR1@120); a closing terminal
    sends SIGHUP.

    Args:
        max_hours: Time after which `poll` requests a stop without a signal.
        announce: Print a line when a signal is received.
        ends_process: The process is about to end after this context: signals that are ignored at
            its end stay so.
    """

    def __init__(
        self, max_hours: float = math.inf, *, announce: bool = True, ends_process: bool = False
    ) -> None:
        self.reason = ""  # for the first request: the name of a signal, or OUT_OF_TIME
        self._deadline = time.monotonic() + 3600 * max_hours
        self._at_once = False
        self._signals = 0
        self._first = (0, -math.inf)  # number and time of the first signal
        self._finished = False
        self._announce, self._ends_process = announce, ends_process
        self._before: dict[signal.Signals, object] = {}

    def poll(self) -> bool:
        """Return True if a stop was requested; sets `reason` when the time is over."""
        if not self.reason and time.monotonic() >= self._deadline:
            self.reason = OUT_OF_TIME
        return bool(self.reason)

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            # Ignored signals stay ignored: Ctrl-C of a background job.
            self._before = {
                number: signal.signal(number, self._stop_or_interrupt)
                for number in SIGNALS
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
        if self._finished and self._ends_process:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def ignore_signals(self) -> None:
        """Ignore signals to the end of this context: there is nothing left to stop."""
        self._finished = True

    @contextmanager
    def interrupt_immediately(self) -> Iterator[None]:
        """Raise KeyboardInterrupt at once for a signal inside this context."""
        self._at_once = True
        try:
            if self.poll():
                raise KeyboardInterrupt
            yield
        finally:
            self._at_once = False

    def poll_graceful(self) -> bool:
        """Return True if a stop after the current step was requested, not one at once."""
        return self.poll() and self._signals < 2

    def _stop_or_interrupt(self, number: int, frame: FrameType | None) -> None:
        """Request a stop at the first signal; raise KeyboardInterrupt at the second."""
        if self._finished:
            return
        if _has_launcher() and self._is_forwarded_copy(number):
            return
        self._signals += 1
        self._first = self._first if self._first[0] else (number, time.monotonic())
        again, self.reason = bool(self.reason), self.reason or signal.Signals(number).name
        if again or self._at_once:
            raise KeyboardInterrupt
        if not self._announce:
            return
        with suppress(OSError):  # the terminal is gone
            # print() is not reentrant, and the signal may have interrupted one.
            os.write(
                sys.stderr.fileno(), b"\nStopping after this step. A second signal stops at once.\n"
            )

    def _is_forwarded_copy(self, number: int) -> bool:
        """True for the first signal again, at about the same time."""
        first, received = self._first
        return number == first and time.monotonic() - received < FORWARDING_SECONDS


_entered: list[StopSignal] = []  # global, as signals are


def stop_requested() -> bool:
    """Return True if this process is to stop after the current step; False outside of StopSignal.

    False too after a second signal, which stops at once.
    """
    return bool(_entered) and _entered[-1].poll_graceful()


@contextmanager
def interrupt_at_once_on_stop() -> Iterator[None]:
    """Raise KeyboardInterrupt at once for a stop inside this context, if a StopSignal is active."""
    with _entered[-1].interrupt_immediately() if _entered else nullcontext():
        yield
