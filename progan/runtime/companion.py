"""Another Python process that works for this one, behind everybody else's work, and ends with it.

The pipe through which it gets its task is what ties the two together: it stays open for as long
as the first one lives, however that ends. `Companion` is the one end of it, `task` the other.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # Linux gives a tenth of a core that others want; 19, a seventieth, starves it
# What torchrun tells a process; one that it did not start is no member of the group.
OF_TORCHRUN = ("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "WORLD_SIZE",
               "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "MASTER_ADDR",
               "MASTER_PORT")
POSSIBLE = hasattr(os, "killpg")  # nowhere but on Windows is a process killed with all it started


class Companion:
    """`python -m module`, which is given a task of one line, and prints nothing.

    It is no member of the terminal's foreground group, so that Ctrl-C is for this process alone;
    but of its session, inside of which Linux compares niceness.

    Raises:
        OSError: It cannot be started.
    """

    def __init__(self, module: str, task: str, more: Mapping[str, str] | None = None) -> None:
        self._words = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=self._words, process_group=0,
            env=environment(os.environ) | dict(more or {}))
        with suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, self._process.pid, NICENESS)
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(task.encode() + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def failure(self) -> str:
        """The last line of what it complained of; '' if it ended well or has not ended."""
        code = self._process.poll()
        if not code:
            return ""
        self._words.seek(0)
        lines = self._words.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {code}")

    def close(self) -> None:
        """Kill it, with all that it has started, if it has not ended."""
        if not self.ended:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._words.close()


def task() -> str:
    """What a companion is to do; from here on it is killed when the one who asked is gone."""
    line = sys.stdin.readline()
    threading.Thread(target=_end_with_the_other, args=(sys.stdin.fileno(),), daemon=True).start()
    return line


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of a companion: it finds this very package, and knows of no torchrun."""
    kept = {name: value for name, value in own.items()
            if name not in OF_TORCHRUN and not name.startswith("TORCHELASTIC_")}
    root = str(Path(__file__).resolve().parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, (root, own.get("PYTHONPATH"))))}


def _end_with_the_other(pipe: int) -> None:
    os.read(pipe, 1)  # there is nothing more to read: it waits for the end
    os.killpg(0, signal.SIGKILL)
