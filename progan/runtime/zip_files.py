"""Read zip files that may be damaged."""

import errno
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

# What zipfile raises where bytes of a zip file are not those that were written.
DAMAGED_ZIP = (
    zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError, KeyError,
    OverflowError, struct.error, zlib.error,
)  # fmt: skip


def is_zip_damage(error: Exception) -> bool:
    """True if zipfile raises an error for what a file contains, not for its disk or its path."""
    if isinstance(error, OSError):  # bz2's has no number; EINVAL: a seek to an offset below 0
        return error.errno in (None, errno.EINVAL)
    return isinstance(error, DAMAGED_ZIP)


def list_zip_members(path: Path) -> list[str]:
    """Return the names of all files in a zip file; [] if it is damaged or no zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (*DAMAGED_ZIP, OSError) as error:
        if not is_zip_damage(error):
            raise
        return []


def are_members_of_torchscript(names: Sequence[str]) -> bool:
    """True for the members of TorchScript, the only zip file of torch with code and constants."""
    has_code = any("/code/" in name for name in names)
    return has_code and any(name.endswith("/constants.pkl") for name in names)


def read_uncompressed_zip_member(path: Path, name: str) -> bytes:
    """Read a file that a zip file stores uncompressed; b'' if compressed, missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            plain = archive.getinfo(name).compress_type == zipfile.ZIP_STORED
            return archive.read(name) if plain else b""
    except (*DAMAGED_ZIP, OSError) as error:
        if not is_zip_damage(error):
            raise
        return b""
