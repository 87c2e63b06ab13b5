"""Read what a pickle names and holds without importing or calling any of it.

A pickle is a program: some of its opcodes import any name, others call what was imported. The
unpickler here is the standard library's own with `find_class` replaced, and with it every opcode
that would call something. Its base is `pickle._Unpickler`, the Python one that joblib and pandas
derive from too, because the C one allocates what a pickle claims before the bytes are there
(its memo: 8 bytes for each index below the largest), hashes dictionary keys nested so deeply that
the interpreter crashes, and sets attributes of whatever `find_class` returned.
"""

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

LONGEST_KEPT = 1 << 20  # bytes or characters of a scanned value; longer ones are weights
RECONSTRUCTOR = "copyreg._reconstructor"  # with which protocols 0 and 1 make objects
# Every name of these modules, and every name that goes through one of them ('torch.os.system').
PASSAGES = frozenset({
    "os", "posix", "nt", "sys", "subprocess", "importlib", "shutil", "commands", "_posixsubprocess",
    "posixpath", "ntpath",
})  # fmt: skip
MODULES = PASSAGES | {
    "_pickle", "_thread", "_winapi", "asyncio", "bdb", "cPickle", "cProfile", "code", "codeop",
    "ctypes", "distutils", "doctest", "ensurepip", "fileinput", "ftplib", "gc", "http", "httplib",
    "imp", "inspect", "linecache", "marshal", "msvcrt", "pdb", "pickle", "pip", "pkgutil",
    "platform", "popen2", "profile", "pty", "requests", "runpy", "setuptools", "signal", "site",
    "smtplib", "socket", "tempfile", "threading", "timeit", "trace", "urllib", "urllib2", "venv",
    "webbrowser", "winreg", "zipimport",
}  # fmt: skip
# Builtins that make plain values; every other one is hostile.
PLAIN_BUILTINS = frozenset({
    "BaseException", "Ellipsis", "Exception", "NotImplemented", "None", "True", "False", "bool",
    "bytearray", "bytes", "complex", "dict", "enumerate", "float", "frozenset", "int", "list",
    "long", "object", "range", "set", "slice", "str", "tuple", "type", "unicode", "xrange", "zip",
})  # fmt: skip
NAMES = frozenset({
    "io.open", "io.FileIO", "_io.open", "_io.FileIO", "codecs.open", "itertools.imap",
    "itertools.starmap", "operator.attrgetter", "operator.methodcaller", "types.CodeType",
    "types.FunctionType", "types.LambdaType", "torch.load", "torch.save",
    "torch.serialization.load", "torch.serialization.save",
})  # fmt: skip
NUMPY_FILES = frozenset({
    "fromfile", "genfromtxt", "load", "loads", "loadtxt", "memmap", "open_memmap", "runstring",
    "save", "savetxt", "savez", "savez_compressed", "exec_command", "DataSource",
})  # fmt: skip
PREFIXES = (
    "torch.hub.", "torch.utils.cpp_extension.", "torch.package.", "numpy.distutils.", "numpy.f2py.",
    "numpy.testing.",
)  # fmt: skip
EXTENSION = "the instruction EXT"  # EXT1, EXT2 and EXT4 name anything by a number


class Stream(Protocol):
    """A binary file, BytesIO or mmap."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Name:
    """A global that a pickle would import: 'numpy.ndarray'."""

    text: str


@dataclass(slots=True, eq=False)
class PickledObject:
    """An object that loading the pickle would make."""

    name: str  # its class or the function that makes it: 'collections.OrderedDict'
    arguments: Any = ()
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)


class PickleScan(NamedTuple):
    """The content of a pickle."""

    content: Any  # plain values and PickledObjects; None if the pickle is broken
    names: tuple[str, ...]  # all that it would import, in order
    is_whole: bool  # it was read to its end


def scan_pickle(stream: Stream) -> PickleScan:
    """Read any pickle from where the stream stands to its end, or as far as it can be read."""
    unpickler = _Scanner(stream)
    try:
        content = unpickler.load()
    except Exception:  # broken pickles fail in nearly any way
        return PickleScan(None, tuple(unpickler.names), is_whole=False)
    return PickleScan(content, tuple(unpickler.names), is_whole=True)


def get_dict_items(value: Any) -> dict[Any, Any]:
    """Return the items of a dictionary, or of an object that is one; {} of anything else."""
    if isinstance(value, PickledObject):
        return value.items
    return value if isinstance(value, dict) else {}


def describe_value(value: Any) -> str:
    """Return a name, or the type of any other value.

    No value is ever written out in a message: tuples of the same tuples, forty deep, take eighty
    bytes in a pickle and a terabyte as text.
    """
    return value.text if isinstance(value, Name) else f"a {type(value).__name__}"


def is_plain_key(key: Any) -> bool:
    """True if Python can hash a key safely: nested tuples would overflow its stack."""
    return isinstance(key, (str, bytes, int, float))


def make_opcode_table(methods: dict[bytes, Any]) -> dict[int, Any]:
    """Make the dispatch table of an unpickler from its methods."""
    return {code[0]: method for code, method in methods.items()}


def _make_current_name(module: str, name: str) -> Name:
    """Name a global, with the current name of a renamed module."""
    renamed = {"__builtin__": "builtins", "copy_reg": "copyreg"}
    module = renamed.get(module, re.sub(r"^numpy\._core\b", "numpy.core", module))
    return Name(f"{module}.{name}")


class SafeUnpickler(pickle._Unpickler):
    """Unpickler of any pickle: makes a `PickledObject` wherever loading would call something."""

    stack: list[Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: Stream) -> None:
        super().__init__(stream, encoding="latin1")
        self.names: dict[str, None] = {}

    def find_class(self, module: str, name: str) -> Any:
        found = _make_current_name(module, name)
        self.names[found.text] = None
        return found

    def persistent_load(self, pid: Any) -> Any:
        return PickledObject("", pid if isinstance(pid, tuple) else (pid,))

    def get_extension(self, code: int) -> None:
        size = 1 if code < 1 << 8 else 2 if code < 1 << 16 else 4
        self.names[f"{EXTENSION}{size}"] = None
        self.append(PickledObject(f"{EXTENSION}{size}"))

    def make(self, function: Any, arguments: Any) -> Any:
        """Return what replaces the object that a function or class makes of its arguments."""
        name = _name_called_object(function)
        if name == RECONSTRUCTOR and isinstance(arguments, tuple) and arguments:
            name = _name_called_object(arguments[0])
        return PickledObject(name, arguments)

    def set_state(self, target: Any, state: Any) -> None:
        if isinstance(target, PickledObject):
            target.state = state

    def set_items(self, target: Any, keys: list[Any], values: list[Any]) -> None:
        """Set the items that have plain keys."""
        if isinstance(target, (dict, PickledObject)):
            get_dict_items(target).update(
                (key, value) for key, value in zip(keys, values, strict=True) if is_plain_key(key)
            )

    def extend(self, target: Any, values: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(values)

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self.make(self.stack[-1], arguments)

    def load_newobj_ex(self) -> None:
        self.stack.pop()  # keyword arguments
        self.load_reduce()

    def _instantiate(self, function: Any, arguments: list[Any]) -> None:
        """Push what replaces the object of the instructions OBJ and INST."""
        self.append(self.make(function, tuple(arguments)))

    def load_build(self) -> None:
        state = self.stack.pop()
        self.set_state(self.stack[-1], state)

    def load_dict(self) -> None:
        values = self.pop_mark()
        self.append({})
        self.set_items(self.stack[-1], values[::2], values[1::2])

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items(self.stack[-1], [key], [value])

    def load_setitems(self) -> None:
        values = self.pop_mark()
        self.set_items(self.stack[-1], values[::2], values[1::2])

    def load_append(self) -> None:
        value = self.stack.pop()
        self.extend(self.stack[-1], [value])

    def load_appends(self) -> None:
        values = self.pop_mark()
        self.extend(self.stack[-1], values)

    def load_set(self) -> None:
        """Read a set as a list, whose values need no hash."""
        self.append([])

    def load_frozenset(self) -> None:
        self.append(self.pop_mark())

    def load_buffer(self) -> None:
        self.append(PickledObject(""))

    def load_readonly_buffer(self) -> None:
        pass

    def load_bytearray(self) -> None:
        """Read bytes without allocating memory for those that are missing."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))

    dispatch: ClassVar[dict[int, Any]] = pickle._Unpickler.dispatch | make_opcode_table(
        {
            pickle.REDUCE: load_reduce,
            pickle.NEWOBJ: load_reduce,
            pickle.NEWOBJ_EX: load_newobj_ex,
            pickle.BUILD: load_build,
            pickle.DICT: load_dict,
            pickle.SETITEM: load_setitem,
            pickle.SETITEMS: load_setitems,
            pickle.APPEND: load_append,
            pickle.APPENDS: load_appends,
            pickle.EMPTY_SET: load_set,
            pickle.ADDITEMS: load_appends,
            pickle.FROZENSET: load_frozenset,
            pickle.NEXT_BUFFER: load_buffer,
            pickle.READONLY_BUFFER: load_readonly_buffer,
            pickle.BYTEARRAY8: load_bytearray,
        }
    )


def _name_called_object(value: Any) -> str:
    """Name what is called; old files of PyTorch keep a class together with its source."""
    if isinstance(value, PickledObject) and isinstance(value.arguments, tuple):
        value = next((each for each in value.arguments if isinstance(each, Name)), value)
    return describe_value(value)


def _drop_long_value_after(load: Callable[[Any], None]) -> Callable[[SafeUnpickler], None]:
    """Wrap a load method to keep an empty value instead of a long one."""

    def load_short(unpickler: SafeUnpickler) -> None:
        load(unpickler)
        value = unpickler.stack[-1]
        if len(value) > LONGEST_KEPT:
            unpickler.stack[-1] = type(value)()

    return load_short


class _Scanner(SafeUnpickler):
    """Unpickler that keeps names and settings, but no weights."""

    dispatch: ClassVar[dict[int, Any]] = SafeUnpickler.dispatch | {
        code[0]: _drop_long_value_after(SafeUnpickler.dispatch[code[0]])
        for code in (
            pickle.BINSTRING,
            pickle.BINBYTES,
            pickle.BINBYTES8,
            pickle.BINUNICODE,
            pickle.BINUNICODE8,
            pickle.BYTEARRAY8,
        )
    }


def is_hostile(name: str) -> bool:
    """True if a name such as 'posix.system' is one that no data and no network needs."""
    first, *parts = name.split(".")
    if first in MODULES or name in NAMES or name.startswith((*PREFIXES, EXTENSION)):
        return True
    if any(part in PASSAGES for part in parts[:-1]) or any(
        part.startswith("__") and part.endswith("__") for part in parts
    ):
        return True
    if first == "builtins":
        exceptions = len(parts) == 1 and parts[0].endswith(("Error", "Warning"))
        return not exceptions and (len(parts) != 1 or parts[0] not in PLAIN_BUILTINS)
    return first == "numpy" and bool(parts) and parts[-1] in NUMPY_FILES
