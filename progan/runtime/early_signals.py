"""Handle signals while the modules of a command are imported, and after its end.

Imports only small modules of the standard library, to be set up early.
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
    """Install handlers that end the process without a traceback, until the command installs others.

    Args:
        is_training: SIGUSR1 exits with the code that asks Slurm scripts to requeue.
    """
    for number in SIGNALS:
        # Ignored signals stay ignored: Ctrl-C of a background job.
        if signal.getsignal(number) != signal.SIG_IGN:
            resumable = is_training and early_exit_code(number) == EXIT_RESUMABLE
            signal.signal(number, exit_resumable if resumable else exit_interrupted)


def early_exit_code(number: int) -> int:
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
    if is_main_process():
        with suppress(OSError):  # the terminal is gone
            os.write(sys.stderr.fileno(), b"\nInterrupted.\n")
    os._exit(code)


def is_main_process() -> bool:
    """True for the process that prints: rank 0 of torchrun's, or one without torchrun."""
    return not _has_launcher() or os.environ.get("RANK", "0") == "0"


def _has_launcher() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ
