"""Lines for people: on the terminal and, with their time, in a file."""

import os
import time
from pathlib import Path

from tqdm import tqdm


class Log:
    """Calling it prints a line, above a progress bar if there is one, and appends it to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        _end_last_line(path)

    def __call__(self, text: str) -> None:
        text = text.encode("utf-8", "backslashreplace").decode()  # of paths that are no UTF-8
        tqdm.write(text)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{stamp}  {line}\n" for line in text.splitlines())


class Silence(Log):
    """For a process that leaves talking to another one."""

    def __init__(self) -> None:
        """Nothing is opened."""

    def __call__(self, text: str) -> None:
        """Nothing is said."""


def _end_last_line(path: Path) -> None:
    """The last line may have been cut where a process was killed."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def human_seconds(seconds: float) -> str:
    """Write a time as a person reads it: '42s', '3m 07s', '1h 02m', '2d 04h'."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
