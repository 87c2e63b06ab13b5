"""Read zip files that may be damaged."""

import errno
import struct
import zipfile
import zlib
from pathlib import Path

# What zipfile raises where bytes of a zip file are not those that were written.
DAMAGED_ZIP = (
    zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError, KeyError,
    OverflowError, struct.error, zlib.error,
)  # fmt: skip


def list_zip_members(path: Path) -> list[str]:
    """Return the names of all files in a zip file; [] if it is damaged or no zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except DAMAGED_ZIP:
        return []
    except OSError as error:
        if error.errno != errno.EINVAL:  # a seek to an offset below 0
            raise
        return []


def read_uncompressed_zip_member(path: Path, name: str) -> bytes:
    """Read a file that a zip file stores uncompressed; b'' if compressed, missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            plain = archive.getinfo(name).compress_type == zipfile.ZIP_STORED
            return archive.read(name) if plain else b""
    except DAMAGED_ZIP:
        return b""
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return b""
