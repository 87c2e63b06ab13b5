"""Image files in a folder, a zip or a tar file, seen as one tree."""

import os
import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from progan.data.image_source import UnreadableImage, make_read_error
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
    normalize_member_path,
)
from progan.data.importers.remote import RemoteSource, Url, copy_to_temporary, name_by_url
from progan.data.importers.tar_source import is_tar_name, open_tar
from progan.errors import UserError
from progan.runtime.files import name_file_in_errors
from progan.runtime.workers import call_interruptibly
from progan.runtime.zip_files import DAMAGED_ZIP, is_zip_damage

_ENCRYPTED, _NAME_IS_UTF8 = 1, 0x800  # bits of a member's flags
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.4.5.
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 10: "PKWARE Implode", 12: "BZIP2"}
_METHODS |= {14: "LZMA", 20: "Zstandard", 93: "Zstandard", 94: "MP3", 95: "XZ", 96: "JPEG"}
_METHODS |= {97: "WavPack", 98: "PPMd"}
_UNPACK = "unpack the zip file with a program that can, such as 7-Zip, and name the folder"


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A folder on disk with all folders below it."""

    root: Path

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage or SourceFailure."""
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise make_read_error(path, error) from error

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of one file, none if it cannot be read."""
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
    files: list[str] = []
    ignored: list[IgnoredFile] = []
    visited: set[tuple[int, int]] = set()  # device and inode of folders
    links = [""]
    while links:
        starts, links = sorted(links), []
        for start in starts:
            if start and _get_device_and_inode(root / start) in visited:
                ignored.append(IgnoredFile(start, REPEATED_LINK))
            folders = [start]
            while folders:
                folder = folders.pop()
                identity = _get_device_and_inode(root / folder)
                if identity in visited:
                    continue
                visited.add(identity)
                for entry in _list_entries(root / folder):
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    kind = _classify_entry(entry)
                    if is_hidden(entry.name):
                        ignored.append(IgnoredFile(path, classify_hidden(path)))
                    elif kind == "special":
                        ignored.append(IgnoredFile(path, SPECIAL))
                    elif kind == "folder":
                        folders.append(path)
                    else:
                        (links if kind == "link" else files).append(path)
    return files, ignored


def _list_entries(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name; UserError if it is unreadable."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _make_listing_error(error) from error


def _get_device_and_inode(folder: Path) -> tuple[int, int]:
    """Return what identifies a folder whatever its path; UserError if it is unreadable."""
    try:
        found = os.stat(folder)
    except OSError as error:
        raise _make_listing_error(error) from error
    return found.st_dev, found.st_ino


def _classify_entry(entry: os.DirEntry[str]) -> Literal["folder", "link", "file", "special"]:
    """Return the type of an entry; a link to a folder is 'link', a broken one is 'file'."""
    try:
        if entry.is_dir():
            return "link" if entry.is_symlink() else "folder"
        return "file" if entry.is_file() or not os.path.exists(entry.path) else "special"
    except OSError:  # a link to itself, or into a folder that must not be entered
        return "file"


def _make_listing_error(error: OSError) -> UserError:
    """Return the error for a folder that cannot be listed."""
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
            if isinstance(error, OSError) and not is_zip_damage(error):
                raise make_read_error(path, error) from error
            raise UnreadableImage(
                path, _describe_member_error(self.members[path], error)
            ) from error

    def read_start(self, path: str) -> bytes:
        try:
            with self.file.open(self.members[path]) as file:
                return file.read(SIGNATURE_BYTES)
        except Exception:  # as above
            return b""

    def has(self, path: str) -> bool:
        return path in self.members


def open_zip(path: Path) -> tuple[ZipSource, list[IgnoredFile]]:
    """Open a zip file; return it with the members that are left out whatever they contain.

    Raises:
        UserError: It is not a zip file, or damaged.
        OSError: Its disk fails, or it must not be read.
    """
    try:
        with name_file_in_errors(path):
            file = zipfile.ZipFile(path)
    except (*DAMAGED_ZIP, OSError) as error:
        if not is_zip_damage(error):
            raise
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
        name = _decode_member_name(info).replace("\\", "/")
        if name.endswith("/"):
            continue  # a folder
        member = normalize_member_path(name)
        if kind := _classify_ignored_member(info, member):
            where = name
            if kind in (HIDDEN, MACOS):  # the path up to the first hidden folder
                parts = member.split("/")
                where = "/".join(parts[: [*map(is_hidden, parts)].index(True) + 1])
            ignored[where] = IgnoredFile(where, kind)
            continue
        if member in members and is_image_path(member):
            replaced.append(IgnoredFile(member, REPLACED))
        members[member] = info
    return ZipSource(file, members), [*ignored.values(), *replaced]


def _decode_member_name(info: zipfile.ZipInfo) -> str:
    """Return the name of a zip member, also of one in UTF-8 that is not marked so.

    Programs of Linux and macOS write such names; `zipfile` takes them for code page 437.
    """
    if info.flag_bits & _NAME_IS_UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _classify_ignored_member(info: zipfile.ZipInfo, member: str) -> FileKind | None:
    """Return why a zip member is left out, by name and attributes; None if it is kept."""
    if ".." in member.split("/"):
        return OUTSIDE if is_image_path(member) else OTHER
    if is_hidden(member):
        return classify_hidden(member)
    return ZIP_LINK if stat.S_ISLNK(info.external_attr >> 16) else None


def _describe_member_error(info: zipfile.ZipInfo, error: Exception) -> str:
    """Describe why a member cannot be read, and the remedy."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted in the zip file; unpack it with its password, and name the folder"
    if isinstance(error, NotImplementedError):
        method = _METHODS.get(info.compress_type, "an unknown method")
        return (
            f"compressed with {method} (method {info.compress_type} of zip files), which "
            f"cannot be read; {_UNPACK}"
        )
    return f"damaged in the zip file ({error})"


class FileReader(Protocol):
    """Files that are read whole, from several threads."""

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage or SourceFailure."""
        ...


class FileSource(FileReader, Protocol):
    """A tree of files of any kind."""

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of one file, none if it cannot be read."""
        ...

    def has(self, path: str) -> bool:
        """True if there is a file of this path."""
        ...


class SourceListing(NamedTuple):
    """A tree, its image files in natural order, and the files that are not imported."""

    tree: FileSource
    images: list[str]
    ignored: list[IgnoredFile]


def open_file_source(source: Path | Url) -> SourceListing:
    """List a folder, a zip or a tar file; raises UserError without any image."""
    listing = call_interruptibly(lambda: _list_files(source))
    if not listing.images:
        seen = "".join(f"\n  {line}" for line in describe_ignored(listing.ignored))
        raise UserError(
            f"No images in {source}{seen and ':'}{seen or ', it is empty.'}\n"
            "Name a folder, a zip or a tar file of images such as .png or .jpg."
        )
    return listing


def make_natural_sort_key(path: str) -> tuple[object, ...]:
    """Return a key that sorts by folder, and numbers by value: '2.png' before '10.png'."""
    # re.split alternates text and digits, so that text never meets a number.
    split = [re.split(r"([0-9]+)", part) for part in path.split("/")]
    parts = [
        [int(piece) if index % 2 else piece.casefold() for index, piece in enumerate(pieces)]
        for pieces in split
    ]
    return parts, path


def _list_files(source: Path | Url) -> SourceListing:
    """List a source: images in natural order, and files that are not imported."""
    tree, paths, ignored = _open_source(source)
    images = sorted(filter(is_image_path, paths), key=make_natural_sort_key)
    ignored += [
        IgnoredFile(path, classify_file(path, tree.read_start))
        for path in paths
        if not is_image_path(path)
    ]
    return SourceListing(
        tree, images, sorted(ignored, key=lambda item: make_natural_sort_key(item.path))
    )


def _open_source(source: Path | Url) -> tuple[FileSource, list[str], list[IgnoredFile]]:
    """Open a source; list the files that may be images, and those left out by their names."""
    if isinstance(source, Url):
        if not (is_tar_name(source.name) or source.name.lower().endswith(".zip")):
            remote = RemoteSource(source)
            paths = remote.list_paths()
            hidden = [IgnoredFile(path, classify_hidden(path)) for path in paths if is_hidden(path)]
            return remote, [path for path in paths if not is_hidden(path)], hidden
        copy = copy_to_temporary(source)
        with name_by_url(copy, source):
            return _open_source(copy)
    if source.is_dir():
        return FolderSource(source), *list_folder(source)
    if source.is_file():
        if source.suffix.lower() == ".parquet":
            raise UserError(f"--source {source} is a Parquet file: create-from-parquet reads it.")
        archive, ignored = open_tar(source) if is_tar_name(source.name) else open_zip(source)
        return archive, list(archive.members), ignored
    what = "is neither a folder nor a file" if source.exists() else "does not exist"
    raise UserError(f"--source {source} {what}. Name a folder, a zip or a tar file of images.")
