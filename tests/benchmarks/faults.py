"""Tasks of benchmarks/isolated.py that go wrong."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.isolated import Record

Keywords = Any


def measure(*, record: Record, seconds: float, done: frozenset[str]) -> None:
    """Two figures, of which one is left out if it is known."""
    for name in ("first", "second"):
        if name not in done:
            record(name=name, value=float("inf") if name == "second" else 1.5)


def fail(*, record: Record, seconds: float, done: frozenset[str]) -> None:
    record(name="before", value=1)
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def die(*, record: Record, seconds: float, done: frozenset[str]) -> None:
    record(name="before", value=1)
    print("the last words", flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(*, record: Record, seconds: float, done: frozenset[str]) -> None:
    os._exit(7)


def hang(pid_file: str, *, record: Record, seconds: float, done: frozenset[str]) -> None:
    """With a process that it has started."""
    child = subprocess.Popen(["sleep", "600"])
    Path(pid_file).write_text(str(child.pid))
    record(name="before", value=1)
    time.sleep(600)
