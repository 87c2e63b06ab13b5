"""Log lines to the terminal and, with their time, to a file; format numbers for people."""

import os
import sys
import time
from pathlib import Path

from tqdm import tqdm


class Log:
    """Calling it prints a line, above a progress bar if there is one, and appends it to a file.

    If the terminal or the reader of a pipe (`| tee`) is gone, only the file is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_read = True
        _end_last_line(path)

    def __call__(self, text: str) -> None:
        text = text.encode("utf-8", "backslashreplace").decode()  # paths may not be UTF-8
        self._print(text)
        self.append_to_file(text)

    def _print(self, text: str) -> None:
        if not self._is_read:
            return
        try:
            tqdm.write(text)
            sys.stdout.flush()
        except OSError as error:
            self._is_read = False
            # Else the interpreter would try to flush what is left when it ends, and fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self.append_to_file(
                f"Standard output failed ({error.strerror}); logging to this file only."
            )

    def append_to_file(self, text: str) -> None:
        """Append lines to the file alone."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(f"{stamp}  {line}\n" for line in text.splitlines())


class NullLog(Log):
    """A log that writes nothing, for processes other than the main one."""

    def __init__(self) -> None:
        """Nothing is opened."""

    def __call__(self, text: str) -> None:
        """Nothing is said."""

    def append_to_file(self, text: str) -> None:
        """Nothing is noted."""


def _end_last_line(path: Path) -> None:
    """End the last line, which may have been cut when a process was killed."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


def human_rate(per_second: float) -> str:
    """Format a speed: '0.0234', '5.6', '1770'."""
    return f"{per_second:.0f}" if per_second >= 100 else f"{per_second:.3g}"


TEN_YEARS = 10 * 365.25 * 86400  # seconds


def human_percent(fraction: float) -> str:
    """Format a fraction as a percentage from 0 to 100: '43.0%'."""
    return f"{100 * min(max(fraction, 0.0), 1.0):.1f}%"


def human_seconds(seconds: float) -> str:
    """Format a duration: '42s', '3m 07s', '1h 02m', '2d 04h', at least '0s'."""
    if not seconds <= TEN_YEARS:  # nan too, from an unknown speed
        return "more than 10 years"
    seconds = max(seconds, 0.0)
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02d}h"
    if hours:
        return f"{hours}h {minutes:02d}m"
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"
