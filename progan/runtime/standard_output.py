"""Report a standard output that cannot be written by one message and an exit code."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO, cast

NAME = "standard output"  # the file name of its errors, which have none by themselves
CLOSED = "The standard output is closed. Redirect it to a file or to /dev/null."


class _NamedOutput:
    """A stream whose OSErrors name the standard output."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _name_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _name_errors():
            self._stream.flush()


@contextmanager
def _name_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        error.filename = NAME
        raise


@contextmanager
def checked_output() -> Iterator[None]:
    """End the process with 1 and one line if its standard output is closed or cannot be written.

    A closed pipe (`| head`) is left to click, which ends the process without a message.
    """
    if sys.stdout is None:  # no file descriptor: files would be opened in its place
        _fail(CLOSED)
    stream = sys.stdout
    named = cast(TextIO, _NamedOutput(stream))
    sys.stdout = named
    try:
        yield
    except OSError as error:
        if not is_output_error(error):
            raise
        _fail(_message(error))
    except SystemExit:
        _flush()
        raise
    finally:
        if sys.stdout is named:
            sys.stdout = stream
    _flush()


def is_output_error(error: OSError) -> bool:
    return bool(error.filename == NAME)


def _message(error: OSError) -> str:
    return f"The standard output cannot be written: {error.strerror}."


def _flush() -> None:
    """Flush before the interpreter does, which would fail with a traceback."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard()
    except OSError as error:
        _fail(_message(error))


def _fail(message: str) -> NoReturn:
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"Error: {message}", file=sys.stderr, flush=True)
    _discard()
    raise SystemExit(1)


def _discard() -> None:
    """Redirect pending output to /dev/null, which the interpreter would write at its end."""
    if sys.stdout is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
