"""Names in pickles that run programs, touch files or reach either, told from plain classes."""

# Every name of these modules, and every name that goes through one of them ('torch.os.system').
PASSAGES = frozenset({"os", "posix", "nt", "sys", "subprocess", "importlib", "shutil", "commands",
                      "_posixsubprocess", "posixpath", "ntpath"})
MODULES = PASSAGES | {
    "_pickle", "_thread", "_winapi", "asyncio", "bdb", "cPickle", "cProfile", "code", "codeop",
    "ctypes", "distutils", "doctest", "ensurepip", "fileinput", "ftplib", "gc", "http", "httplib",
    "imp", "inspect", "linecache", "marshal", "msvcrt", "pdb", "pickle", "pip", "pkgutil",
    "platform", "popen2", "profile", "pty", "requests", "runpy", "setuptools", "signal", "site",
    "smtplib", "socket", "tempfile", "threading", "timeit", "trace", "urllib", "urllib2", "venv",
    "webbrowser", "winreg", "zipimport"}
# Builtins that make plain values; every other one is hostile.
PLAIN_BUILTINS = frozenset({
    "BaseException", "Ellipsis", "Exception", "NotImplemented", "None", "True", "False", "bool",
    "bytearray", "bytes", "complex", "dict", "enumerate", "float", "frozenset", "int", "list",
    "long", "object", "range", "set", "slice", "str", "tuple", "type", "unicode", "xrange", "zip"})
NAMES = frozenset({
    "io.open", "io.FileIO", "_io.open", "_io.FileIO", "codecs.open", "itertools.imap",
    "itertools.starmap", "operator.attrgetter", "operator.methodcaller", "types.CodeType",
    "types.FunctionType", "types.LambdaType", "torch.load", "torch.save",
    "torch.serialization.load", "torch.serialization.save"})
NUMPY_FILES = frozenset({"fromfile", "genfromtxt", "load", "loads", "loadtxt", "memmap",
                         "open_memmap", "runstring", "save", "savetxt", "savez",
                         "savez_compressed", "exec_command", "DataSource"})
PREFIXES = ("torch.hub.", "torch.utils.cpp_extension.", "torch.package.", "numpy.distutils.",
            "numpy.f2py.", "numpy.testing.")
EXTENSION = "the instruction EXT"  # EXT1, EXT2 and EXT4 name anything by a number


def is_hostile(name: str) -> bool:
    """Whether a name such as 'posix.system' is one that no data and no network needs."""
    first, *parts = name.split(".")
    if first in MODULES or name in NAMES or name.startswith((*PREFIXES, EXTENSION)):
        return True
    if any(part in PASSAGES for part in parts[:-1]) or any(
            part.startswith("__") and part.endswith("__") for part in parts):
        return True
    if first == "builtins":
        exceptions = len(parts) == 1 and parts[0].endswith(("Error", "Warning"))
        return not exceptions and (len(parts) != 1 or parts[0] not in PLAIN_BUILTINS)
    return first == "numpy" and bool(parts) and parts[-1] in NUMPY_FILES
