"""NumPy's arrays as pickles tell of them, made of the bytes that are there and of nothing else."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


class Refused(Exception):
    """What a pickle tried that data never needs."""


@dataclass(slots=True, eq=False)
class Blank:
    """An array whose content is to come."""

    place: int | None = None  # in the memo of the pickle


@dataclass(slots=True, eq=False)
class Kind:
    """A type of numbers, whose byte order may be to come."""

    dtype: np.dtype[Any]


def kind(code: str, *_: Any) -> Kind:
    """'f4' -> float32; numbers of known sizes only, and never objects."""
    if not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
        raise Refused(f"an array of {code!r}")
    return Kind(np.dtype(code))


def set_order(target: Kind, state: Any) -> None:
    """Take over the byte order from what NumPy pickles of a type: (version, order, …)."""
    order = state[1]
    if order not in ("<", ">", "|", "="):
        raise ValueError("the order of bytes is none")
    target.dtype = target.dtype.newbyteorder(order)


def filled(state: Any) -> Array:
    """The array of which NumPy pickles (version, shape, type, is Fortran's order, bytes)."""
    shape, found, is_fortran, data = state[-4:]
    return from_buffer(data, found, shape, "F" if is_fortran else "C")


def from_buffer(data: Any, found: Any, shape: Any, order: str, axes: Any = None) -> Array:
    """The bytes as an array of this shape, if they are as many as it takes; not to be written to.

    Args:
        axes: Of order 'K': how the axes of the array in C's order are arranged.
    """
    if isinstance(data, list):
        raise Refused("an array of objects")
    if not isinstance(found, Kind):
        raise ValueError("an array has no type")
    content = data.encode("latin-1") if isinstance(data, str) else memoryview(data)
    array = np.frombuffer(content, found.dtype).reshape(shape, order="F" if order == "F" else "C")
    return array if axes is None else array.transpose(axes)


def scalar(found: Any, data: Any) -> Array:
    return from_buffer(data, found, (), "C")


def latin1_bytes(text: str, codec: str) -> bytes:
    """Python 3 writes bytes into old protocols as text that a codec turns back."""
    if not isinstance(codec, str):
        raise ValueError("a codec has no name")
    if codec != "latin1":
        raise Refused(f"the codec {codec!r}")
    return text.encode("latin-1")


# What stands for the functions with which arrays and bytes are pickled.
CALLS: dict[str, Callable[..., Any]] = {
    "numpy.core.multiarray._reconstruct": lambda *_: Blank(),
    "numpy.core.multiarray.scalar": scalar,
    "numpy.core.numeric._frombuffer": from_buffer,
    "numpy.dtype": kind,
    "_codecs.encode": latin1_bytes,
    "builtins.bytes": lambda: b"",  # how old protocols write no bytes at all
}
