"""Image files in a folder or a zip file, seen as one tree."""

import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from progan.data.image_source import UnreadableImage
from progan.data.importers.ignored_files import (
    HIDDEN,
    MACOS,
    OTHER,
    OUTSIDE,
    REPEATED_LINK,
    REPLACED,
    SIGNATURE_BYTES,
    SPECIAL,
    ZIP_LINK,
    FileKind,
    IgnoredFile,
    classify_file,
    classify_hidden,
    describe_ignored,
    is_hidden,
    is_image_path,
)
from progan.errors import UserError
from progan.runtime.workers import call_interruptibly

_ENCRYPTED = 1  # bit of a member's flags
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.4.5.
_METHODS = {
    1: "Shrink",
    6: "Implode",
    9: "Deflate64",
    10: "PKWARE Implode",
    12: "BZIP2",
    14: "LZMA",
    20: "Zstandard",
    93: "Zstandard",
    94: "MP3",
    95: "XZ",
    96: "JPEG",
    97: "WavPack",
    98: "PPMd",
}
_UNPACK = "unpack the zip file with a program that can, such as 7-Zip, and name the folder"


@dataclass(frozen=True, slots=True)
class FolderSource:
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


def list_folder(root: Path) -> tuple[list[str], list[IgnoredFile]]:
    """Return the paths of all files below `root` that may be imported, and what is left out.

    Links to folders are followed, and each folder is listed once: under its own path if that is
    below `root`, else under the first of the links to it.
    """
    listing = _FolderWalk(root)
    listing.add("")
    while listing.links:
        links, listing.links = sorted(listing.links), []
        for link in links:
            listing.add(link)
    return listing.files, listing.ignored


@dataclass(slots=True)
class _FolderWalk:
    root: Path
    files: list[str] = field(default_factory=list)
    ignored: list[IgnoredFile] = field(default_factory=list)
    links: list[str] = field(default_factory=list)  # to folders, not followed yet
    visited: set[tuple[int, int]] = field(default_factory=set)  # device and inode of folders

    def add(self, start: str) -> None:
        """Add a folder with all real folders below it; links wait until these are known."""
        if start and self._identity(start) in self.visited:
            self.ignored.append(IgnoredFile(start, REPEATED_LINK))
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
                self.ignored.append(IgnoredFile(path, classify_hidden(path)))
            elif kind == "special":
                self.ignored.append(IgnoredFile(path, SPECIAL))
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
    return UserError(
        f"Cannot list the folder {error.filename}: {error.strerror}. "
        "Make it readable, or move it away."
    )


@dataclass(frozen=True, slots=True)
class ZipSource:
    """A zip file; threads may read from it at the same time."""

    file: zipfile.ZipFile = field(repr=False)
    members: Mapping[str, zipfile.ZipInfo] = field(repr=False)  # by their path in the tree

    def read(self, path: str) -> bytes:
        try:
            return self.file.read(self.members[path])
        except Exception as error:  # zlib, struct and zipfile each have errors of their own
            raise UnreadableImage(path, _reason(self.members[path], error)) from error

    def read_start(self, path: str) -> bytes:
        try:
            with self.file.open(self.members[path]) as file:
                return file.read(SIGNATURE_BYTES)
        except Exception:  # as above
            return b""

    def has(self, path: str) -> bool:
        return path in self.members


def open_zip(path: Path) -> tuple[ZipSource, list[IgnoredFile]]:
    """Open a zip file; return it with the members that are left out whatever they contain."""
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        if is_image_path(path.name):
            raise UserError(
                f"--source {path} is a single image. Name a folder or a zip file of images."
            ) from error
        raise UserError(
            f"--source {path} is neither a folder nor a readable zip file ({error}). "
            "Unpack it if it is another kind of archive, or fetch it again."
        ) from error
    members: dict[str, zipfile.ZipInfo] = {}
    ignored: dict[str, IgnoredFile] = {}  # hidden folders once
    replaced = []
    for info in file.infolist():
        name = info.filename.replace("\\", "/")
        if name.endswith("/"):
            continue  # a folder, whose members tell its name
        member = normalize_member_path(name)
        if kind := _ignored_kind(info, member):
            where = _hidden_part(member) if kind in (HIDDEN, MACOS) else name
            ignored[where] = IgnoredFile(where, kind)
            continue
        if member in members and is_image_path(member):
            replaced.append(IgnoredFile(member, REPLACED))
        members[member] = info
    return ZipSource(file, members), [*ignored.values(), *replaced]


def normalize_member_path(name: str) -> str:
    """Return the path of a member below the root of the tree: './a//b.png' -> 'a/b.png'.

    Absolute paths lose their root. Nothing is ever unpacked, so that they do no harm.
    """
    name = re.sub(r"^[A-Za-z]:/", "", name)
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _ignored_kind(info: zipfile.ZipInfo, member: str) -> FileKind | None:
    """Why a member is left out without a look at its content; None if it is not."""
    if ".." in member.split("/"):
        return OUTSIDE if is_image_path(member) else OTHER
    if is_hidden(member):
        return classify_hidden(member)
    return ZIP_LINK if stat.S_ISLNK(info.external_attr >> 16) else None


def _hidden_part(path: str) -> str:
    """The path up to the first hidden file or folder."""
    parts = path.split("/")
    hidden = next(number for number, part in enumerate(parts) if is_hidden(part))
    return "/".join(parts[: hidden + 1])


def _reason(info: zipfile.ZipInfo, error: Exception) -> str:
    """Why a member cannot be read, and what mends it."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted in the zip file; unpack it with its password, and name the folder"
    if isinstance(error, NotImplementedError):
        method = _METHODS.get(info.compress_type, "an unknown method")
        return (
            f"compressed with {method} (method {info.compress_type} of zip files), which "
            f"cannot be read; {_UNPACK}"
        )
    return f"damaged in the zip file ({error})"


class FileSource(Protocol):
    """Where image files are read from."""

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage."""

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of one file, none if it cannot be read."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""


class SourceListing(NamedTuple):
    """A tree, its image files in natural order, and the files that are not imported."""

    tree: FileSource
    images: list[str]
    ignored: list[IgnoredFile]


def open_file_source(source: Path) -> SourceListing:
    """List a folder or a zip file; raises UserError if there is no image."""
    listing = call_interruptibly(lambda: _listing(source))
    if not listing.images:
        seen = "".join(f"\n  {line}" for line in describe_ignored(listing.ignored))
        raise UserError(
            f"There is no image in {source}{seen and ':'}{seen or ', it is empty.'}\n"
            "Name a folder or a zip file of images such as .png or .jpg."
        )
    return listing


def natural_order(path: str) -> tuple[object, ...]:
    """Sort key: folder by folder, numbers by value ('2.png' before '10.png')."""
    # re.split alternates text and digits, so that text never meets a number.
    parts = [
        [
            int(piece) if index % 2 else piece.casefold()
            for index, piece in enumerate(re.split(r"([0-9]+)", part))
        ]
        for part in path.split("/")
    ]
    return parts, path


def _listing(source: Path) -> SourceListing:
    tree, paths, ignored = _open(source)
    images = [path for path in paths if is_image_path(path)]
    ignored += [
        IgnoredFile(path, classify_file(path, tree.read_start))
        for path in paths
        if not is_image_path(path)
    ]
    return SourceListing(
        tree,
        sorted(images, key=natural_order),
        sorted(ignored, key=lambda item: natural_order(item.path)),
    )


def _open(source: Path) -> tuple[FileSource, list[str], list[IgnoredFile]]:
    """The tree, the files that may be images, and those that are left out before a look."""
    if source.is_dir():
        return FolderSource(source), *list_folder(source)
    if source.is_file():
        archive, ignored = open_zip(source)
        return archive, list(archive.members), ignored
    what = "is neither a folder nor a file" if source.exists() else "does not exist"
    raise UserError(f"--source {source} {what}. Name a folder or a zip file of images.")
