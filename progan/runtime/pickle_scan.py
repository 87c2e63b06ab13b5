"""What a pickle names and holds, read without making or calling any of it."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from progan.runtime.hostile_names import EXTENSION
from progan.runtime.pickle_machine import (
    INSTRUCTIONS,
    MAKER,
    Instruction,
    Machine,
    Name,
    Stream,
    global_name,
    text_of,
)

LONGEST_KEPT = 1 << 20  # bytes or characters of one value; longer ones are weights


@dataclass(slots=True, eq=False)
class Unmade:
    """An object that loading the pickle would make."""

    name: str  # of the class or function that makes it: 'collections.OrderedDict'
    arguments: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class Scan(NamedTuple):
    """What a pickle holds."""

    content: Any  # plain values and Unmade objects; None if the pickle is broken
    names: tuple[str, ...]  # all that it would import, in order
    is_whole: bool  # it was followed to its end


def scan(stream: Stream) -> Scan:
    """Follow a pickle from where the stream stands to its end, or as far as it can be read."""
    machine = _Scanner()
    try:
        content = machine.run(stream)
    except Exception:  # broken pickles fail in nearly any way
        return Scan(None, tuple(machine.names), is_whole=False)
    return Scan(content, tuple(machine.names), is_whole=True)


def items_of(value: Any) -> dict[Any, Any]:
    """The items of a dictionary, or of an object that is one; {} of anything else."""
    if isinstance(value, Unmade):
        return value.items
    return value if isinstance(value, dict) else {}


class _Scanner(Machine):
    """Notes every name and makes nothing but plain values."""

    def __init__(self) -> None:
        super().__init__(frozenset())
        self.names: dict[str, None] = {}
        self.instructions = INSTRUCTIONS | _MORE

    def push(self, value: Any) -> None:
        long = isinstance(value, (str, bytes, bytearray)) and len(value) > LONGEST_KEPT
        self.stack.append(type(value)() if long else value)

    def name(self, module: Any, name: Any) -> None:
        found = global_name(module, name)
        self.names[found.text] = None
        self.push(found)

    def call(self) -> None:
        function, arguments = self.take(2)
        name = _maker(function)
        if name == MAKER and isinstance(arguments, tuple) and arguments:
            name = _maker(arguments[0])
        self.push(Unmade(name, arguments))

    def make(self, count: int) -> None:
        """Push the object that something makes of the uppermost values."""
        function, *arguments = self.take(count)
        self.push(Unmade(_maker(function), arguments[0]))

    def make_of(self, values: list[Any]) -> None:
        self.push(Unmade(_maker(values[0]) if values else "", tuple(values[1:])))

    def named(self, names: str) -> None:
        """INST: a name and what it makes of the values since the mark."""
        values = self.since_mark()
        self.name(*names.split(" ", 1))
        self.make_of([*self.take(1), *values])

    def extension(self, size: int) -> None:
        self.names[f"{EXTENSION}{size}"] = None
        self.push(Unmade(f"{EXTENSION}{size}"))

    def build(self) -> None:
        target, state = self.take(2)
        if isinstance(target, Unmade):
            target.state = state
        self.push(target)

    def extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def update(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], (dict, Unmade)):
            items_of(self.stack[-1]).update(_with_plain_keys(values))


def _maker(value: Any) -> str:
    """What is called: also a class that old files of PyTorch keep with its source."""
    if isinstance(value, Unmade) and isinstance(value.arguments, tuple):
        value = next((each for each in value.arguments if isinstance(each, Name)), value)
    return text_of(value)


def _with_plain_keys(values: list[Any]) -> dict[Any, Any]:
    """[key, value, key, value] as a dictionary without the keys that could not be hashed."""
    return {key: value for key, value in zip(values[::2], values[1::2], strict=True)
            if isinstance(key, (str, bytes, int, float))}


_MORE: dict[str, Instruction] = {
    "DICT": lambda machine, _: machine.push(_with_plain_keys(machine.since_mark())),
    "PERSID": lambda machine, text: machine.push(Unmade("", (text,))),
    "BINPERSID": lambda machine, _: machine.push(Unmade("", machine.take(1)[0])),
    "NEWOBJ": lambda machine, _: machine.make(2),
    "NEWOBJ_EX": lambda machine, _: machine.make(3),
    "OBJ": lambda machine, _: machine.make_of(machine.since_mark()),
    "INST": lambda machine, names: machine.named(names),
    "EXT1": lambda machine, _: machine.extension(1),
    "EXT2": lambda machine, _: machine.extension(2),
    "EXT4": lambda machine, _: machine.extension(4),
    "EMPTY_SET": lambda machine, _: machine.push([]),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark()),
    "FROZENSET": lambda machine, _: machine.push(machine.since_mark()),
    "NEXT_BUFFER": lambda machine, _: machine.push(Unmade("")),
    "READONLY_BUFFER": lambda machine, _: None,
}
