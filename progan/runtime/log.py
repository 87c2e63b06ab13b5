"""Log lines to the terminal and a file, and report a standard output that cannot be written."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO, cast


class Log:
    """Calling it prints a line, above a progress bar if there is one, and appends it to a file.

    If the terminal or the reader of a pipe (`| tee`) is gone, only the file is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_read = True
        _complete_last_line(path)

    def __call__(self, text: str) -> None:
        text = text.encode("utf-8", "backslashreplace").decode()  # paths may not be UTF-8
        self._print(text)
        self.append_to_file(text)

    def _print(self, text: str) -> None:
        """Print above a progress bar; once that fails, say so in the file and never print again."""
        if not self._is_read:
            return
        from tqdm import tqdm  # only here: this module is imported for --help

        try:
            # A console of Windows, or Python called with another encoding, may lack "→".
            encoding = sys.stdout.encoding or "utf-8"
            tqdm.write(text.encode(encoding, "backslashreplace").decode(encoding))
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


def _complete_last_line(path: Path) -> None:
    """End the last line, which may have been cut when a process was killed."""
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")


NAME = "standard output"  # the file name of its errors, which have none by themselves
CLOSED = "The standard output is closed. Redirect it to a file or to /dev/null."


class _NamedOutput:
    """A stream whose OSErrors name the standard output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _name_output_in_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _name_output_in_errors():
            self._stream.flush()


@contextmanager
def _name_output_in_errors() -> Iterator[None]:
    """Set 'standard output' as the file name of an OSError inside the context."""
    try:
        yield
    except OSError as error:
        error.filename = NAME
        raise


@contextmanager
def exit_on_output_error() -> Iterator[None]:
    """End the process with 1 and one line if its standard output is closed or cannot be written.

    A closed pipe (`| head`) is left to click, which ends the process without a message.
    """
    if sys.stdout is None:  # no file descriptor: files would be opened in its place
        _print_error_and_exit(CLOSED)
    stream = sys.stdout
    named = cast(TextIO, _NamedOutput(stream))
    sys.stdout = named
    try:
        yield
    except OSError as error:
        if not is_output_error(error):
            raise
        _print_error_and_exit(_format_output_error(error))
    except SystemExit:
        _flush_stdout_or_exit()
        raise
    finally:
        if sys.stdout is named:
            sys.stdout = stream
    _flush_stdout_or_exit()


def is_output_error(error: OSError) -> bool:
    """True if an OSError comes from the standard output inside `exit_on_output_error`."""
    return bool(error.filename == NAME)


def _format_output_error(error: OSError) -> str:
    """Return 'The standard output cannot be written: …'."""
    return f"The standard output cannot be written: {error.strerror}."


def _flush_stdout_or_exit() -> None:
    """Flush standard output; exit with 1 and a message if it fails; a closed pipe is ignored."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_pending_output()
    except OSError as error:
        _print_error_and_exit(_format_output_error(error))


def _print_error_and_exit(message: str) -> NoReturn:
    """Print 'Error: …' to standard error, discard pending output, and exit with 1."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"Error: {message}", file=sys.stderr, flush=True)
    _discard_pending_output()
    raise SystemExit(1)


def _discard_pending_output() -> None:
    """Redirect pending output to /dev/null, which the interpreter would write at its end."""
    if sys.stdout is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
