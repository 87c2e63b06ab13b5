"""The stack machine of pickles, with the instructions that make plain values.

A pickle is a program for a small machine with a stack. One of its instructions names anything that
Python can import, others call what was named: to read it with `pickle` is to run it. The machine
here has the instructions that make plain values. Of names it knows those with which NumPy's arrays
are pickled, and has functions of its own for them; every other one is refused. What it makes
grows with the bytes that are there, whatever sizes they claim.
"""

import ast
import pickletools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from progan.runtime.pickled_arrays import CALLS, Blank, Kind, Refused, filled, set_order


class Stream(Protocol):
    """Where a pickle is read from: a file, BytesIO or mmap."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self) -> bytes: ...


@dataclass(slots=True, eq=False)
class Record:
    """What a pickle tells of an object whose class is known by name alone."""

    name: str  # 'tfutil.Network'
    state: Any = None


@dataclass(frozen=True, slots=True)
class Name:
    """Something that could be imported: 'numpy.ndarray'."""

    text: str


OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
WORDS = {"numpy.ndarray", "builtins.object"}  # names that occur as arguments only
MAKER = "copyreg._reconstructor"  # by which protocols 0 and 1 make objects


class Machine:
    """A stack of values, and what the instructions do to it."""

    def __init__(self, records: frozenset[str]) -> None:
        self.records = records
        self.known = records | WORDS | {MAKER} | CALLS.keys()
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # the stacks that wait, one for each mark
        self.memo: dict[int, Any] = {}
        self.instructions: Mapping[str, Instruction] = INSTRUCTIONS

    def run(self, stream: Stream) -> Any:
        while code := stream.read(1):
            operation = _operation(code)
            argument = _argument(operation, stream)
            if operation.name == "STOP":
                return self.stack.pop()
            if operation.name in PUSHING:
                self.push(argument)
            elif operation.name in self.instructions:
                self.instructions[operation.name](self, argument)
            else:
                raise Refused(_wish(operation.name, argument))
        raise ValueError("it ends too early")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> list[Any]:
        """The uppermost values, in the order in which they came."""
        if len(self.stack) < count:
            raise ValueError("it takes more than is there")
        start = len(self.stack) - count
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        values, self.stack = self.stack, self.below.pop()
        return values

    def drop(self) -> None:
        """Forget the uppermost value, or a mark that lies there instead."""
        if self.stack:
            self.stack.pop()
        else:
            self.drop_to_mark()

    def drop_to_mark(self) -> None:
        self.stack = self.below.pop()

    def remember(self, place: int) -> None:
        value = self.memo[place] = self.stack[-1]
        if isinstance(value, Blank):
            value.place = place

    def recall(self, place: int) -> None:
        if place not in self.memo:
            raise ValueError("it refers to what it never made")
        self.push(self.memo[place])

    def name(self, module: Any, name: Any) -> None:
        found = global_name(module, name)
        if found.text not in self.known:
            raise Refused(found.text)
        self.push(found)

    def call(self) -> None:
        function, arguments = self.take(2)
        name = text_of(function)
        if name == MAKER:
            self.push(self.record(arguments[0]))
        elif name in CALLS:
            self.push(CALLS[name](*arguments))
        else:
            raise Refused(f"a call of {name}")

    def record(self, kind: Any) -> Record:
        name = text_of(kind)
        if name not in self.records:
            raise Refused(f"an object of {name}")
        return Record(name)

    def build(self) -> None:
        """Give an object that was just made the state that follows it."""
        target, state = self.take(2)
        if isinstance(target, Record):
            target.state = state
        elif isinstance(target, Kind):
            set_order(target, state)
        elif isinstance(target, Blank):
            place, target = target.place, filled(state)
            if place is not None:
                self.memo[place] = target
        else:
            raise Refused(f"another state of {text_of(target)}")
        self.push(target)

    def extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to what is no list")
        self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("it sets items of what is no dictionary")
        self.stack[-1].update(_dictionary(values))


def _operation(code: bytes) -> pickletools.OpcodeInfo:
    operation = OPERATIONS.get(code.decode("latin-1"))
    if operation is None:
        raise ValueError(f"no instruction is {code!r}")
    return operation


def _argument(operation: pickletools.OpcodeInfo, stream: Stream) -> Any:
    """What follows the code of an instruction, if anything does."""
    if operation.name == "STRING":
        return _quoted(stream.readline())
    return operation.arg.reader(stream) if operation.arg else None  # type: ignore[arg-type]


def _quoted(line: bytes) -> str:
    r"""Text of Python 2 in protocol 0: b"'caf\\xe9'\n" -> 'café'."""
    if not re.fullmatch(rb"""'(?:[^'\\]|\\.)*'\n|"(?:[^"\\]|\\.)*"\n""", line):
        raise ValueError("a text is not quoted")
    text: bytes = ast.literal_eval("b" + line.decode("ascii").rstrip("\n"))
    return text.decode("latin-1")


def _dictionary(values: list[Any]) -> dict[Any, Any]:
    """[key, value, key, value] as a dictionary.

    Keys are single values: Python itself breaks down where it hashes tuples within tuples without
    end.
    """
    keys = values[::2]
    if not all(isinstance(key, (str, bytes, int, float)) for key in keys):
        raise ValueError("a key is neither text nor a number")
    return dict(zip(keys, values[1::2], strict=True))


def global_name(module: Any, name: Any) -> Name:
    """The name of something in a module, if both are texts."""
    if not (isinstance(module, str) and isinstance(name, str)):
        raise ValueError("a name is no text")
    return Name(f"{_modern(module)}.{name}")


def _modern(module: str) -> str:
    """One name for modules that had several."""
    names = {"__builtin__": "builtins", "copy_reg": "copyreg"}
    return names.get(module, re.sub(r"^numpy\._core\b", "numpy.core", module))


def text_of(value: Any) -> str:
    """A name, or what else a value is.

    No value is ever written out in a message: tuples of the same tuples, forty deep, take eighty
    bytes in a pickle and a terabyte as text.
    """
    return value.text if isinstance(value, Name) else f"a {type(value).__name__}"


def _wish(operation: str, argument: Any) -> str:
    """What an instruction that is not followed would do: by the name in it, if there is one."""
    if operation == "INST":
        module, _, name = argument.partition(" ")
        return f"{_modern(module)}.{name}"
    return f"the instruction {operation}"


Instruction = Callable[[Any, Any], None]  # of a machine and the argument of the instruction
PUSHING = {  # their argument is the value
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
INSTRUCTIONS: dict[str, Instruction] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: machine.push(_dictionary(machine.since_mark())),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.update(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.update(machine.since_mark()),
    "MARK": lambda machine, _: machine.mark(),
    "POP": lambda machine, _: machine.drop(),
    "POP_MARK": lambda machine, _: machine.drop_to_mark(),
    "DUP": lambda machine, _: machine.push(machine.stack[-1]),
    "PUT": lambda machine, place: machine.remember(place),
    "BINPUT": lambda machine, place: machine.remember(place),
    "LONG_BINPUT": lambda machine, place: machine.remember(place),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    "GET": lambda machine, place: machine.recall(place),
    "BINGET": lambda machine, place: machine.recall(place),
    "LONG_BINGET": lambda machine, place: machine.recall(place),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*machine.take(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.push(machine.record(machine.take(2)[0])),
    "BUILD": lambda machine, _: machine.build(),
}
