"""What lies in a zip file, before anything of it is believed."""

import zipfile
from pathlib import Path


def members(path: Path) -> list[str]:
    """The names of its files; [] of a damaged one, and of what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def stored(path: Path, name: str) -> bytes:
    """The content of a file in it; nothing of a compressed one, which may be larger than memory."""
    try:
        with zipfile.ZipFile(path) as archive:
            plain = archive.getinfo(name).compress_type == zipfile.ZIP_STORED
            return archive.read(name) if plain else b""
    except (zipfile.BadZipFile, KeyError):
        return b""
