"""Pickles read as data: numbers, text, containers and arrays. Nothing in them is ever called."""

import io
from collections.abc import Collection
from typing import Any

from progan.errors import UserError
from progan.runtime.hostile_names import is_hostile
from progan.runtime.pickle_machine import Machine, Record
from progan.runtime.pickle_scan import scan
from progan.runtime.pickled_arrays import Refused

__all__ = ["BrokenPickle", "NotPlain", "Record", "hostile_message", "load_plain"]

LONGEST = 200  # characters of a message


class NotPlain(UserError):
    """A pickle that asks for more than plain data.

    Attributes:
        hostile: It names something that runs programs or touches files.
    """

    def __init__(self, message: str, hostile: bool) -> None:
        super().__init__(message, hostile)
        self.message, self.hostile = message, hostile

    def __str__(self) -> str:
        return self.message


class BrokenPickle(UserError):
    """A file that is no pickle, or not a whole one."""


def load_plain(data: bytes, where: str, records: Collection[str] = ()) -> Any:
    """Read a pickle of any protocol; Python 2's strings become text, a character for each byte.

    Args:
        where: Names the pickle in messages.
        records: Classes whose objects may occur; each becomes a `Record`.

    Raises:
        NotPlain: The pickle asks for anything else.
        BrokenPickle: It is no pickle, or damaged.
    """
    try:
        return Machine(frozenset(records)).run(io.BytesIO(data))
    except Refused as error:
        raise _refusal(data, where, _shown(str(error))) from None
    except Exception as error:  # broken pickles fail in nearly any way
        text = _shown(str(error) or type(error).__name__)
        raise BrokenPickle(f"{where} is not a readable pickle ({text}). Fetch it "
                           "again.") from error


def hostile_message(where: str, name: str) -> str:
    """The message about a pickle that names something hostile."""
    return (f"{where} is refused. The pickle asks for {_shown(name)}, which data never needs: "
            "loading it elsewhere could run somebody's program. Nothing of it was run. Fetch the "
            "file from a place that you trust.")


def _refusal(data: bytes, where: str, asked: str) -> NotPlain:
    hostile = next(filter(is_hostile, scan(io.BytesIO(data)).names), None)
    if hostile is not None:
        return NotPlain(hostile_message(where, hostile), hostile=True)
    return NotPlain(f"{where} is refused. The pickle asks for {asked}, which progan does not read. "
                    "Nothing of it was run.", hostile=False)


def _shown(text: str) -> str:
    """Not too much of a text, in characters that do nothing to a terminal."""
    return (text if text.isprintable() else ascii(text))[:LONGEST]
