"""The first lines of every command: signals while its modules are imported, and after its end.

Imports nothing but the standard library's smallest, so that the time without it is short.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

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
    """Let a signal end the process quietly, until the command that is imported has begun.

    Args:
        is_training: Whether SIGUSR1 ends it with the exit code that asks Slurm scripts to requeue.
    """
    for number in SIGNALS:
        # What is ignored stays ignored: a background job does not listen to Ctrl-C.
        if signal.getsignal(number) != signal.SIG_IGN:
            resumable = is_training and early_exit_code(number) == EXIT_RESUMABLE
            signal.signal(number, exit_resumable if resumable else exit_interrupted)


def early_exit_code(number: int) -> int:
    """Exit code of a training that a signal ends before its first step.

    SIGUSR1 is the signal by which Slurm announces the end of the time; nothing is lost, and the
    script is to requeue the job. torchrun takes any code but 0 for a failure.
    """
    requeued = number == getattr(signal, "SIGUSR1", None) and not _has_launcher()
    return EXIT_RESUMABLE if requeued else EXIT_INTERRUPTED


def exit_interrupted(number: int, frame: FrameType | None) -> None:
    """End the process, which has done nothing yet, without a traceback."""
    _exit(EXIT_INTERRUPTED)


def exit_resumable(number: int, frame: FrameType | None) -> None:
    """The same, with the exit code of a training that can be resumed."""
    _exit(EXIT_RESUMABLE)


def _exit(code: int) -> None:
    if is_main_process():
        with suppress(OSError):  # of a terminal that is gone
            os.write(sys.stderr.fileno(), b"\nInterrupted.\n")
    os._exit(code)


def is_main_process() -> bool:
    """Whether this process is the one of torchrun's that prints; one by itself does."""
    return not _has_launcher() or os.environ.get("RANK", "0") == "0"


def _has_launcher() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
