"""What test_companion.py starts as a companion, or as one who has a companion."""

import subprocess
import sys
import time
from pathlib import Path

from progan.runtime.companion import Companion, task

MODULE = "tests.runtime.companion_at_work"


def main(word: str, file: Path) -> None:
    """Do what a word says, and leave process ids in a file."""
    if word == "fail":
        print("first line", file=sys.stderr)
        raise RuntimeError("it is broken")
    if word == "start":
        process = subprocess.Popen(["sleep", "600"])
        write(file, str(process.pid))
        process.wait()
    if word == "ask":
        companion = Companion(MODULE, f"start {file}")
        write(file.with_suffix(".companion"), str(companion.pid))
        time.sleep(600)
    write(file, word)


def write(file: Path, words: str) -> None:
    partial = file.with_suffix(".partial")
    partial.write_text(words)
    partial.replace(file)


if __name__ == "__main__":
    words = sys.argv[1:] or task().split()
    main(words[0], Path(words[1]))
