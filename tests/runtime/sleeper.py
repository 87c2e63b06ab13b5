"""What torchrun starts in test_torchrun.py: a process that waits for a signal.

Arguments: a folder, and what to do at a signal: `save`, as a training that leaves 75 for the
launcher, `exit` without, or `ignore` it; `finish` ends at once, as with --max-hours.
"""

import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from progan.runtime.distributed import write_exit_code
from progan.runtime.signals import EXIT_RESUMABLE, SIGNALS

folder, action = Path(sys.argv[1]), sys.argv[2]
rank = os.environ["RANK"]


def stop(number: int, frame: FrameType | None) -> None:
    (folder / f"signal-{rank}").write_text(signal.Signals(number).name)
    if action == "save":
        write_exit_code(EXIT_RESUMABLE)
    if action != "ignore":
        sys.exit(0)


for each in SIGNALS:
    signal.signal(each, stop)
(folder / f"pid-{rank}").write_text(str(os.getpid()))
if action == "finish":
    write_exit_code(EXIT_RESUMABLE)
else:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(1)
