"""Image files in a folder and all folders below it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from progan.data.importers.ignored import (
    REPEATED_LINK,
    SIGNATURE_BYTES,
    SPECIAL,
    Ignored,
    hidden_kind,
    is_hidden,
)
from progan.data.source import UnreadableImage
from progan.errors import UserError


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on disk with all folders below it."""

    root: Path

    def read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise UnreadableImage(path, error.strerror or str(error)) from error

    def read_start(self, path: str) -> bytes:
        try:
            with (self.root / path).open("rb") as file:
                return file.read(SIGNATURE_BYTES)
        except OSError:
            return b""

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()


def list_folder(root: Path) -> tuple[list[str], list[Ignored]]:
    """Return the paths of all files below `root` that may be imported, and what is left out.

    Links to folders are followed, and each folder is listed once: under its own path if that is
    below `root`, else under the first of the links to it.
    """
    listing = _Listing(root)
    listing.add("")
    while listing.links:
        links, listing.links = sorted(listing.links), []
        for link in links:
            listing.add(link)
    return listing.files, listing.ignored


@dataclass(slots=True)
class _Listing:
    root: Path
    files: list[str] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # to folders, not followed yet
    visited: set[tuple[int, int]] = field(default_factory=set)  # device and inode of folders

    def add(self, start: str) -> None:
        """Add a folder with all real folders below it; links wait until these are known."""
        if start and self._identity(start) in self.visited:
            self.ignored.append(Ignored(start, REPEATED_LINK))
            return
        waiting = [start]
        while waiting:
            folder = waiting.pop()
            identity = self._identity(folder)
            if identity not in self.visited:
                self.visited.add(identity)
                waiting += self._add_entries(folder)

    def _add_entries(self, folder: str) -> Iterator[str]:
        """Sort the entries of one folder, and yield the folders among them."""
        for entry in self._entries(folder):
            path = f"{folder}/{entry.name}" if folder else entry.name
            kind = _type_of(entry)
            if is_hidden(entry.name):
                self.ignored.append(Ignored(path, hidden_kind(path)))
            elif kind == "special":
                self.ignored.append(Ignored(path, SPECIAL))
            elif kind == "folder":
                yield path
            else:
                (self.links if kind == "link" else self.files).append(path)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise _unlistable(error) from error

    def _identity(self, folder: str) -> tuple[int, int]:
        try:
            found = os.stat(self.root / folder)
        except OSError as error:
            raise _unlistable(error) from error
        return found.st_dev, found.st_ino


def _type_of(entry: os.DirEntry[str]) -> Literal["folder", "link", "file", "special"]:
    """What an entry is; a link leads to a folder, and one that leads nowhere is a file."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        return "file" if entry.is_file() or not os.path.exists(entry.path) else "special"
    except OSError:  # a link to itself, or into a folder that must not be entered
        return "file"


def _unlistable(error: OSError) -> UserError:
    return UserError(f"Cannot list the folder {error.filename}: {error.strerror}. "
                     "Make it readable, or move it away.")
