"""A folder or a zip file seen as one tree of image files."""

import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from progan.data.importers.pixels import image_extensions
from progan.data.source import UnreadableImage
from progan.errors import UserError


class Tree(Protocol):
    """Where image files are read from."""

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder on disk with all folders below it."""

    root: Path

    def read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise UnreadableImage(path, error.strerror or str(error)) from error

    def has(self, path: str) -> bool:
        return (self.root / path).is_file()


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip file; threads may read from it at the same time."""

    file: zipfile.ZipFile = field(repr=False)

    def read(self, path: str) -> bytes:
        try:
            return self.file.read(path)
        except Exception as error:  # zlib, struct and zipfile each have errors of their own
            raise UnreadableImage(path, f"damaged in the zip file ({error})") from error

    def has(self, path: str) -> bool:
        return path in self.file.NameToInfo


def open_tree(source: Path) -> tuple[Tree, list[str], int]:
    """Return the tree, its image files in natural order, and how many other files it has.

    Hidden files and `__MACOSX` are not counted. Raises UserError if there is no image.
    """
    if source.is_dir():
        tree, paths = _open_folder(source)
    elif source.is_file():
        tree, paths = _open_archive(source)
    else:
        raise UserError(f"--source {source} does not exist. Name a folder or a zip file of images.")
    extensions = image_extensions()
    visible = [path for path in paths if not _is_hidden(path)]
    images = [path for path in visible if PurePosixPath(path).suffix.lower() in extensions]
    if not images:
        raise UserError(f"There is no image in {source}{_seen(visible)}. Name a folder or a zip "
                        "file of images such as .png or .jpg.")
    return tree, sorted(images, key=natural_order), len(visible) - len(images)


def natural_order(path: str) -> tuple[object, ...]:
    """Sort key: folder by folder, numbers by value ('2.png' before '10.png')."""
    # re.split alternates text and digits, so that text never meets a number.
    parts = [[int(piece) if index % 2 else piece.casefold()
              for index, piece in enumerate(re.split(r"([0-9]+)", part))]
             for part in path.split("/")]
    return parts, path


def _open_folder(root: Path) -> tuple[Tree, list[str]]:
    return Folder(root), [path.relative_to(root).as_posix() for path in _walk(root)]


def _walk(root: Path) -> Iterator[Path]:
    """All files below `root`, through links to folders too, each folder once."""
    visited = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        visited.add(os.path.realpath(folder))
        folders[:] = [name for name in folders
                      if os.path.realpath(os.path.join(folder, name)) not in visited]
        yield from (Path(folder, name) for name in names)


def _refuse(error: OSError) -> None:
    raise UserError(f"Cannot list the folder {error.filename}: {error.strerror}. "
                    "Make it readable, or move it away.") from error


def _open_archive(path: Path) -> tuple[Tree, list[str]]:
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"--source {path} is neither a folder nor a readable zip file ({error}). "
                        "Unpack it if it is another kind of archive, or fetch it again.") from error
    return Archive(file), [info.filename for info in file.infolist() if not info.is_dir()]


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _seen(paths: Iterable[str]) -> str:
    """What there was instead of images: ', only 12 other files (.txt .json)'."""
    suffixes = Counter(PurePosixPath(path).suffix.lower() or "without extension" for path in paths)
    kinds = " ".join(suffix for suffix, _ in suffixes.most_common(5))
    return f", only {suffixes.total()} other files ({kinds})" if suffixes else ", it is empty"
