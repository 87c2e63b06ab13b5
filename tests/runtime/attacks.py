"""Pickles that are up to something: each would do it when it is loaded, and names what it is."""

import builtins
import os
import pickle
import subprocess
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class Attack:
    """Makes a pickle call any function while it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Stateful(Attack):
    """An attack with a state that follows."""

    def __reduce__(self) -> Any:
        return (*self.call, {"__class__": "anything"})


def text(word: str) -> bytes:
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def calls(proof: Path) -> dict[str, Any]:
    """Objects whose pickles would make the file `proof`, by the name that each of them needs."""
    word = f"touch {proof}"
    return {
        "posix.system": Attack(os.system, word),
        "builtins.eval": Attack(eval, f"open({str(proof)!r}, 'w')"),
        "builtins.exec": Attack(exec, f"open({str(proof)!r}, 'w')"),
        "builtins.getattr": Attack(getattr, Attack(eval, f"open({str(proof)!r}, 'w')"), "x"),
        "builtins.__import__": Attack(__import__, "os"),
        "builtins.map|itertools.imap": Attack(builtins.map, os.system, [word]),
        "subprocess.Popen|commands.Popen": Attack(subprocess.Popen, ["touch", str(proof)]),
        "posix.mkdir": Attack(os.mkdir, str(proof)),
        "numpy.*load": Attack(np.load, str(proof)),
        "numpy.*fromfile": Attack(np.fromfile, str(proof)),
        "numpy.*memmap": Attack(np.memmap, str(proof), np.uint8, "w+", 0, (4,)),
        "posix.system|types.SimpleNamespace": Attack(
            types.SimpleNamespace, Attack(os.system, word)
        ),
    }


def by_hand(proof: Path) -> dict[str, bytes]:
    """The same without Python's own pickler, by what the message says of it."""
    word = f"touch {proof}"
    mark, build = b"\x80\x02", b"b."
    rebuild = b"cnumpy.core.multiarray\n_reconstruct\n"
    array = rebuild + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    floats = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    return {
        "posix.system": b"cposix\nsystem\n(S'" + word.encode() + b"'\ntR.",
        "os.system": b"(S'" + word.encode() + b"'\nios\nsystem\n.",  # INST
        "nt.system": mark + text("nt") + text("system") + b"\x93(" + text(word) + b"tR.",
        "os.path.join": mark + text("os") + text("path.join") + b"\x93)R.",
        "builtins.object.__subclasses__": mark
        + text("builtins")
        + text("object.__subclasses__")
        + b"\x93)R.",
        "numpy.core.multiarray._reconstruct.__globals__": mark
        + text("numpy.core.multiarray")
        + text("_reconstruct.__globals__")
        + b"\x93.",
        "the codec 'zlib'": mark + b"c_codecs\nencode\n" + text("a") + text("zlib") + b"\x86R.",
        "another state of numpy.core.multiarray._reconstruct": mark
        + rebuild
        + b"}"
        + text("__code__")
        + b"Ns"
        + build,
        "another state of an array": mark
        + array
        + b"(K\x01K\x01\x85"
        + floats
        + b"\x89U\x04abcdtb)"
        + build,
        "a call of numpy.ndarray": mark + b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85R.",
        "a call of a list": mark + b"])R.",
        "an object of numpy.ndarray": mark + b"cnumpy\nndarray\n)\x81.",
        "an array of 'O'": mark + b"cnumpy\ndtype\nU\x01OK\x00K\x01\x87R.",
        "an array of 'V9'": mark + b"cnumpy\ndtype\nU\x02V9K\x00K\x01\x87R.",
        "an array of objects": mark + array + b"(K\x01K\x02\x85" + floats + b"\x89]t" + build,
        "the instruction PERSID": b"Pevil\n.",
        "the instruction BINPERSID": mark + text("evil") + b"Q.",
        "the instruction EXT1": mark + b"\x82\x01.",
        "the instruction OBJ": mark + b"(cnumpy\nndarray\no.",
        "the instruction NEWOBJ_EX": b"\x80\x04cnumpy\nndarray\n)}\x92.",
        "the instruction NEXT_BUFFER": b"\x80\x05\x97.",
        "the instruction FROZENSET": b"\x80\x04(K\x01\x91.",
    }


def broken(proof: Path) -> dict[str, bytes]:
    """Pickles that ask for more than there is, or end nowhere."""
    start = b"\x80\x02"
    array = start + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    floats = b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
    terabyte = b")" + b"2\x86" * 40  # as text: each tuple is twice the one before
    return {
        "a long codec": start + b"c_codecs\nencode\n" + text("a") + terabyte + b"\x86R.",
        "a long name": b"\x80\x04" + text("os") + terabyte + b"\x93.",
        "a long byte order": start + floats + b"(K\x03" + terabyte + b"tb.",
        "a long type": start + b"cnumpy\ndtype\n" + terabyte + b"\x85R.",
        "a long shape": array + b"(K\x01" + terabyte + floats + b"\x89U\x04abcdtb.",
        "nothing": b"",
        "text": b"text",
        "cut": pickle.dumps({"a": np.arange(100)})[:-20],
        "bytes that are not there": b"\x80\x04\x8e" + (1 << 60).to_bytes(8, "little") + b"a.",
        "text that is not there": b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"a.",
        "a bytearray that is not there": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b"a.",
        "a number that is not there": start + b"\x8b\xff\xff\xff\x7f1.",
        "a huge array of few bytes": array
        + b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"
        + floats
        + b"\x89U\x04abcdtb.",
        "an array without a type": array + b"(K\x01K\x01\x85N\x89U\x04abcdtb.",
        "an array that is a number": array + b"K\x01b.",
        "huge bytes": start + b"cbuiltins\nbytes\nJ\xff\xff\xff\x7f\x85R.",
        "no byte order": start + floats + b"(K\x03" + text("evil") + b"tb.",
        "an empty stack": start + b"a.",
        "a mark that is not there": start + b"t.",
        "a place that is not there": start + b"h\x05.",
        "tuples within tuples as a key": start + b"})" + b"\x85" * 200_000 + b"Ns.",
        "a list as a key": start + b"}]Ns.",
        "a quotation of code": b"S'a'+__import__('os').mkdir('" + str(proof).encode() + b"')\n.",
        "no instruction": start + b"\xff.",
    }
