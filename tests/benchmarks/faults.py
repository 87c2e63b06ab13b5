"""Tasks of benchmarks/isolated.py that go wrong."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.isolated import Recorder

Keywords = Any


def measure(*, record: Recorder) -> None:
    """Two figures, of which one is left out if it is known."""
    for name in ("first", "second"):
        if name not in record.done:
            record(name=name, value=float("inf") if name == "second" else 1.5)


def fail(*, record: Recorder) -> None:
    record(name="before", value=1)
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def die(*, record: Recorder) -> None:
    record(name="before", value=1)
    print("the last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(*, record: Recorder) -> None:
    os._exit(7)


def hang(pid_file: str, *, record: Recorder) -> None:
    """With a process that it has started."""
    child = subprocess.Popen(["sleep", "600"])
    Path(pid_file).write_text(str(child.pid))
    record(name="before", value=1)
    time.sleep(600)
