"""A tar file seen as a tree of files, compressed or not."""

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from progan.data.image_source import UnreadableImage, make_read_error
from progan.data.importers.ignored_files import (
    OUTSIDE_TAR,
    REPLACED_IN_TAR,
    SIGNATURE_BYTES,
    SPARSE,
    SPECIAL,
    TAR_LINK,
    FileKind,
    IgnoredFile,
    classify_hidden,
    is_hidden,
    is_image_path,
    normalize_member_path,
)
from progan.errors import UserError
from progan.runtime.files import name_file_in_errors

_BLOCK_BYTES = 1 << 20  # read at once
TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".tzst")


class _Place(NamedTuple):
    """Offset and size in bytes of the content of a member in the uncompressed tar file."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class TarSource:
    """A tar file; threads may read from it at the same time."""

    file: BinaryIO = field(repr=False)  # uncompressed
    members: Mapping[str, _Place] = field(repr=False)  # by their path in the tree

    def read(self, path: str) -> bytes:
        """Return the content of one member; raises UnreadableImage or SourceFailure."""
        return self._read(path, self.members[path].size)

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of one member."""
        return self._read(path, min(self.members[path].size, SIGNATURE_BYTES))

    def has(self, path: str) -> bool:
        return path in self.members

    def _read(self, path: str, size: int) -> bytes:
        try:
            content = os.pread(self.file.fileno(), size, self.members[path].offset)
        except OSError as error:
            raise make_read_error(path, error) from error
        if len(content) < size:
            raise UnreadableImage(path, "cut short in the tar file")
        return content


def is_tar_name(name: str) -> bool:
    """Check by its name if a file is a tar file."""
    return name.lower().endswith(TAR_SUFFIXES)


def open_tar(path: Path) -> tuple[TarSource, list[IgnoredFile]]:
    """Open a tar file; return it with the members that are left out whatever they contain.

    A compressed one is decompressed into a temporary file, which has no name and goes with the
    process: images are read in another order than they are stored in.

    Raises:
        UserError: It is not a tar file, or damaged.
    """
    members: dict[str, _Place] = {}
    ignored = []
    try:
        file = _open_uncompressed(path)
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                if info.isdir():
                    continue
                name = normalize_member_path(info.name)
                if kind := _classify_member(info, name):
                    ignored.append(IgnoredFile(info.name, kind))
                    continue
                if name in members and is_image_path(name):
                    ignored.append(IgnoredFile(name, REPLACED_IN_TAR))
                members[name] = _Place(info.offset_data, info.size)
            _require_end(path, file, archive.offset)
    except (tarfile.TarError, EOFError) as error:
        raise _unreadable_error(path, error) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk or the system, not of the content
            raise
        raise _unreadable_error(path, error) from error
    return TarSource(file, members), ignored


def _require_end(path: Path, file: BinaryIO, offset: int) -> None:
    """Raise UserError unless the archive, and the file too, ends where tarfile has stopped.

    It takes a header that is damaged or cut, but for the first one, for the end; and it passes
    over a second archive behind the first. After the end there are some KiB of zeros.
    """
    file.seek(offset)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise UserError(
            f"--source {path} is damaged at byte {offset:,} of the tar file: what follows cannot "
            "be read. Fetch it again."
        )
    while block := file.read(_BLOCK_BYTES):
        if block.strip(b"\0"):
            raise UserError(
                f"--source {path} has data after the end of its archive, at byte {offset:,} of "
                "the tar file: several archives joined by cat look like this. Join them with tar "
                "--concatenate (-A), or unpack them all and name the folder."
            )


def _unreadable_error(path: Path, error: Exception) -> UserError:
    return UserError(f"--source {path} is not a readable tar file ({error}). Fetch it again.")


def _open_uncompressed(path: Path) -> BinaryIO:
    """Return a tar file open for reading, decompressed if need be."""
    name = path.name.lower()
    opened: Any = None
    if name.endswith((".gz", ".tgz")):
        opened = gzip.open(path, "rb")
    elif name.endswith(".bz2"):
        opened = bz2.open(path, "rb")
    elif name.endswith(".xz"):
        opened = lzma.open(path, "rb")
    elif name.endswith("zst"):
        opened = _import_zstandard().open(path, "rb")
    if opened is None:
        return path.open("rb")
    unpacked = cast(BinaryIO, tempfile.TemporaryFile(prefix="progan-"))
    with opened:
        while block := _read_block(path, opened):
            with name_file_in_errors(Path(tempfile.gettempdir())):
                unpacked.write(block)
    with name_file_in_errors(Path(tempfile.gettempdir())):
        unpacked.flush()
    unpacked.seek(0)
    return unpacked


def _read_block(path: Path, opened: BinaryIO) -> bytes:
    """Read and decompress some bytes; raises UserError where the file is damaged."""
    try:
        return opened.read(_BLOCK_BYTES)
    except Exception as error:  # each decompressor has exceptions of its own
        raise _unreadable_error(path, error) from error


def _import_zstandard() -> Any:
    """Return the package zstandard; raises UserError without it."""
    try:
        import zstandard
    except ImportError as error:
        raise UserError(
            'Zstandard needs the package zstandard: pip install "progan[zstd]". '
            "Or decompress the file: zstd -d FILE."
        ) from error
    return zstandard


def _classify_member(info: tarfile.TarInfo, path: str) -> FileKind | None:
    """Return why the member at a path is left out, by name and type; None if it is kept."""
    if info.issym() or info.islnk():
        return TAR_LINK
    if not info.isreg():
        return SPECIAL
    if info.issparse():
        return SPARSE
    if info.name.startswith(("/", "\\")) or ".." in info.name.split("/"):
        return OUTSIDE_TAR
    return classify_hidden(path) if is_hidden(path) else None
