"""The first lines of every command: signals while its modules are imported, and after its end.

Imports nothing but the standard library's smallest, so that the time without it is short.
"""

import os
import signal
import sys
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130  # what shells report for Ctrl-C: 128 + SIGINT
# SIGHUP comes when a terminal is closed or a connection breaks, SIGUSR1 when Slurm is about to
# take a machine away; Windows has neither.
HEARD = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
              if hasattr(signal, name))


def heed_signals() -> None:
    """Let a signal end the process quietly, until the command that is imported has begun."""
    for number in HEARD:
        # What is ignored stays ignored: a background job does not listen to Ctrl-C.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, exit_at_once)


def exit_at_once(number: int, frame: FrameType | None) -> None:
    """End the process, which has done nothing yet, without a traceback."""
    if speaks():
        with suppress(OSError):  # of a terminal that is gone
            os.write(sys.stderr.fileno(), b"\nInterrupted.\n")
    os._exit(INTERRUPTED)


def speaks() -> bool:
    """Whether this process is the one of torchrun's that prints; one by itself does."""
    return "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("RANK", "0") == "0"
