"""Read pickles as data (numbers, text, containers, arrays) without calling anything in them."""

import io
import pickle
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from progan.errors import UserError
from progan.runtime.pickle_scan import (
    RECONSTRUCTOR,
    PickledObject,
    SafeUnpickler,
    Stream,
    describe_value,
    is_hostile,
    is_plain_key,
    make_opcode_table,
    scan_pickle,
)

Array = npt.NDArray[Any]
LONGEST_MESSAGE = 200  # characters


class RefusedPickle(UserError):
    """A pickle that needs more than plain data.

    Attributes:
        hostile: It names something that runs programs or touches files.
    """

    def __init__(self, message: str, hostile: bool) -> None:
        super().__init__(message, hostile)
        self.message, self.hostile = message, hostile

    def __str__(self) -> str:
        return self.message


class BrokenPickle(UserError):
    """A file that is not a pickle, or not a whole one."""


def load_plain(data: bytes, where: str, classes: Collection[str] = ()) -> Any:
    """Read a pickle of any protocol; Python 2's strings become text, a character for each byte.

    Args:
        where: Names the pickle in messages.
        classes: Classes whose objects may occur; each becomes a `PickledObject`.

    Raises:
        RefusedPickle: The pickle needs anything else.
        BrokenPickle: It is not a pickle, or damaged.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data), frozenset(classes)).load()
    except _Refused as error:
        raise _make_refusal(data, where, _shorten(str(error))) from None
    except Exception as error:  # broken pickles fail in nearly any way
        text = _shorten(str(error) or type(error).__name__)
        raise BrokenPickle(f"{where} is not a readable pickle ({text}). Fetch it again.") from error


def format_hostile_message(where: str, name: str) -> str:
    """Return the message about a pickle that names something hostile."""
    return (
        f"{where} is refused. The pickle asks for {_shorten(name)}, which data never needs: "
        "loading it elsewhere could run a foreign program. Nothing of it was run. Fetch the "
        "file from a place that you trust."
    )


def _make_refusal(data: bytes, where: str, asked: str) -> RefusedPickle:
    """Return the error for a pickle; one that names something hostile anywhere says so."""
    hostile = next(filter(is_hostile, scan_pickle(io.BytesIO(data)).names), None)
    if hostile is not None:
        return RefusedPickle(format_hostile_message(where, hostile), hostile=True)
    return RefusedPickle(
        f"{where} is refused. The pickle asks for {asked}, which progan does not "
        "read. Nothing of it was run.",
        hostile=False,
    )


def _shorten(text: str) -> str:
    """Cut a text to LONGEST_MESSAGE characters and escape what controls a terminal."""
    return (text if text.isprintable() else ascii(text))[:LONGEST_MESSAGE]


class _Refused(Exception):
    """A pickle tried something that data never needs."""


@dataclass(slots=True, eq=False)
class _NumberType:
    """A dtype, whose byte order may follow."""

    dtype: np.dtype[Any]


def _parse_number_type(code: str, *_: Any) -> _NumberType:
    """Return the dtype of a code, 'f4' -> float32; numbers of known sizes only, never objects."""
    if not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
        raise _Refused(f"an array of {code!r}")
    return _NumberType(np.dtype(code))


def _set_byte_order(target: _NumberType, state: Any) -> None:
    """Set the byte order from what NumPy pickles of a type: (version, order, …)."""
    order = state[1]
    if order not in ("<", ">", "|", "="):
        raise ValueError("an unknown byte order")
    target.dtype = target.dtype.newbyteorder(order)


def _array_from_bytes(data: Any, kind: Any, shape: Any, order: str, axes: Any = None) -> Array:
    """Return the bytes as a read-only array of this shape; ValueError if their number differs.

    Args:
        axes: Of order 'K': how the axes of the array in C's order are arranged.
    """
    if isinstance(data, list):
        raise _Refused("an array of objects")
    if not isinstance(kind, _NumberType):
        raise ValueError("an array has no type")
    content = data.encode("latin-1") if isinstance(data, str) else memoryview(data)
    array = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if order == "F" else "C")
    return array if axes is None else array.transpose(axes)


def _fill_array_in_place(target: Array, state: Any) -> None:
    """Fill an empty array in place with (version, shape, type, is Fortran's order, bytes)."""
    if target.size:
        raise _Refused("another state of an array")
    shape, kind, is_fortran, data = state[-4:]
    array = _array_from_bytes(data, kind, shape, "F" if is_fortran else "C")
    checked: Any = array.__reduce__()[2]
    target.__setstate__(checked)


def _encode_latin1(text: str, codec: str) -> bytes:
    """Encode text that stands for bytes, as Python 3 writes them into old protocols."""
    if not isinstance(codec, str):
        raise ValueError("a codec has no name")
    if codec != "latin1":
        raise _Refused(f"the codec {codec!r}")
    return text.encode("latin-1")


# What is called instead of the functions with which arrays and bytes are pickled.
CALLS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": lambda *_: np.empty(0),
    "numpy.core.multiarray.scalar": lambda kind, data: _array_from_bytes(data, kind, (), "C"),
    "numpy.core.numeric._frombuffer": _array_from_bytes,
    "numpy.dtype": _parse_number_type,
    "_codecs.encode": _encode_latin1,
    "builtins.bytes": lambda: b"",  # how old protocols write no bytes at all
}
WORDS = {"numpy.ndarray", "builtins.object"}  # names that occur as arguments only


def _refuse(opcode: str) -> Callable[[Any], None]:
    """Return a load method that refuses the instruction `opcode`."""

    def refuse(unpickler: SafeUnpickler) -> None:
        raise _Refused(f"the instruction {opcode}")

    return refuse


class _PlainUnpickler(SafeUnpickler):
    """Unpickler that refuses all but plain values, the names in CALLS and the given classes."""

    def __init__(self, stream: Stream, classes: frozenset[str]) -> None:
        super().__init__(stream)
        self.classes = classes
        self.known = classes | WORDS | {RECONSTRUCTOR} | CALLS.keys()

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if found.text not in self.known:
            raise _Refused(found.text)
        return found

    def make(self, function: Any, arguments: Any) -> Any:
        name = describe_value(function)
        if name == RECONSTRUCTOR:
            return self.make_object(arguments[0])
        if name not in CALLS:
            raise _Refused(f"a call of {name}")
        return CALLS[name](*arguments)

    def make_object(self, kind: Any) -> PickledObject:
        name = describe_value(kind)
        if name not in self.classes:
            raise _Refused(f"an object of {name}")
        return PickledObject(name)

    def load_newobj(self) -> None:
        self.stack.pop()  # arguments
        self.stack[-1] = self.make_object(self.stack[-1])

    def set_state(self, target: Any, state: Any) -> None:
        if isinstance(target, PickledObject):
            target.state = state
        elif isinstance(target, _NumberType):
            _set_byte_order(target, state)
        elif isinstance(target, np.ndarray):
            _fill_array_in_place(target, state)
        else:
            raise _Refused(f"another state of {describe_value(target)}")

    def set_items(self, target: Any, keys: list[Any], values: list[Any]) -> None:
        if not isinstance(target, dict):
            raise ValueError("it sets items of what is not a dictionary")
        if not all(map(is_plain_key, keys)):
            raise ValueError("a key is neither text nor a number")
        super().set_items(target, keys, values)

    def extend(self, target: Any, values: list[Any]) -> None:
        if not isinstance(target, list):
            raise ValueError("it appends to what is not a list")
        super().extend(target, values)

    dispatch: ClassVar[dict[int, Any]] = SafeUnpickler.dispatch | make_opcode_table(
        {pickle.NEWOBJ: load_newobj}
        | {
            getattr(pickle, name): _refuse(name)
            for name in (
                "NEWOBJ_EX",
                "OBJ",
                "PERSID",
                "BINPERSID",
                "EXT1",
                "EXT2",
                "EXT4",
                "EMPTY_SET",
                "ADDITEMS",
                "FROZENSET",
                "NEXT_BUFFER",
                "READONLY_BUFFER",
            )  # fmt: skip
        }
    )
