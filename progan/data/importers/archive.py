"""Image files in a zip file, however their names are written."""

import re
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from progan.data.importers.ignored import (
    HIDDEN,
    MACOS,
    OTHER,
    OUTSIDE,
    REPLACED,
    SIGNATURE_BYTES,
    ZIP_LINK,
    Ignored,
    Kind,
    hidden_kind,
    is_hidden,
    is_image_path,
)
from progan.data.source import UnreadableImage
from progan.errors import UserError

_ENCRYPTED = 1  # bit of a member's flags
# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, section 4.4.5.
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 10: "PKWARE Implode", 12: "BZIP2",
            14: "LZMA", 20: "Zstandard", 93: "Zstandard", 94: "MP3", 95: "XZ", 96: "JPEG",
            97: "WavPack", 98: "PPMd"}
_UNPACK = "unpack the zip file with a program that can, such as 7-Zip, and name the folder"


@dataclass(frozen=True, slots=True)
class Archive:
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


def open_archive(path: Path) -> tuple[Archive, list[Ignored]]:
    """Open a zip file; return it with the members that are left out whatever they contain."""
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        if is_image_path(path.name):
            raise UserError(f"--source {path} is a single image. Name a folder or a zip file of "
                            "images.") from error
        raise UserError(f"--source {path} is neither a folder nor a readable zip file ({error}). "
                        "Unpack it if it is another kind of archive, or fetch it again.") from error
    members: dict[str, zipfile.ZipInfo] = {}
    ignored: dict[str, Ignored] = {}  # hidden folders once
    replaced = []
    for info in file.infolist():
        name = info.filename.replace("\\", "/")
        if name.endswith("/"):
            continue  # a folder, whose members tell its name
        member = tree_path(name)
        if kind := _ignored_kind(info, member):
            where = _hidden_part(member) if kind in (HIDDEN, MACOS) else name
            ignored[where] = Ignored(where, kind)
            continue
        if member in members and is_image_path(member):
            replaced.append(Ignored(member, REPLACED))
        members[member] = info
    return Archive(file, members), [*ignored.values(), *replaced]


def tree_path(name: str) -> str:
    """Return the path of a member below the root of the tree: './a//b.png' -> 'a/b.png'.

    Absolute paths lose their root. Nothing is ever unpacked, so that they do no harm.
    """
    name = re.sub(r"^[A-Za-z]:/", "", name)
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _ignored_kind(info: zipfile.ZipInfo, member: str) -> Kind | None:
    """Why a member is left out without a look at its content; None if it is not."""
    if ".." in member.split("/"):
        return OUTSIDE if is_image_path(member) else OTHER
    if is_hidden(member):
        return hidden_kind(member)
    return ZIP_LINK if stat.S_ISLNK(info.external_attr >> 16) else None


def _hidden_part(path: str) -> str:
    """The path up to the first hidden file or folder."""
    parts = path.split("/")
    hidden = next(number for number, part in enumerate(parts) if is_hidden(part))
    return "/".join(parts[:hidden + 1])


def _reason(info: zipfile.ZipInfo, error: Exception) -> str:
    """Why a member cannot be read, and what mends it."""
    if info.flag_bits & _ENCRYPTED:
        return "encrypted in the zip file; unpack it with its password, and name the folder"
    if isinstance(error, NotImplementedError):
        method = _METHODS.get(info.compress_type, "an unknown method")
        return (f"compressed with {method} (method {info.compress_type} of zip files), which "
                f"cannot be read; {_UNPACK}")
    return f"damaged in the zip file ({error})"
