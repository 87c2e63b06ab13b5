"""A folder or a zip file seen as one tree of image files."""

import re
from pathlib import Path
from typing import NamedTuple, Protocol

from progan.data.importers.archive import open_archive
from progan.data.importers.folder import Folder, list_folder
from progan.data.importers.ignored import (
    Ignored,
    describe_ignored,
    is_image_path,
    kind_of,
)
from progan.errors import UserError
from progan.runtime.worker_pool import call_interruptibly


class Tree(Protocol):
    """Where image files are read from."""

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage."""

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of one file, none if it cannot be read."""

    def has(self, path: str) -> bool:
        """Whether there is such a file."""


class Listing(NamedTuple):
    """A tree, its image files in natural order, and the files that are not imported."""

    tree: Tree
    images: list[str]
    ignored: list[Ignored]


def open_tree(source: Path) -> Listing:
    """List a folder or a zip file; raises UserError if there is no image."""
    listing = call_interruptibly(lambda: _listing(source))
    if not listing.images:
        seen = "".join(f"\n  {line}" for line in describe_ignored(listing.ignored))
        raise UserError(f"There is no image in {source}{seen and ':'}{seen or ', it is empty.'}\n"
                        "Name a folder or a zip file of images such as .png or .jpg.")
    return listing


def natural_order(path: str) -> tuple[object, ...]:
    """Sort key: folder by folder, numbers by value ('2.png' before '10.png')."""
    # re.split alternates text and digits, so that text never meets a number.
    parts = [[int(piece) if index % 2 else piece.casefold()
              for index, piece in enumerate(re.split(r"([0-9]+)", part))]
             for part in path.split("/")]
    return parts, path


def _listing(source: Path) -> Listing:
    tree, paths, ignored = _open(source)
    images = [path for path in paths if is_image_path(path)]
    ignored += [Ignored(path, kind_of(path, tree.read_start)) for path in paths
                if not is_image_path(path)]
    return Listing(tree, sorted(images, key=natural_order),
                   sorted(ignored, key=lambda item: natural_order(item.path)))


def _open(source: Path) -> tuple[Tree, list[str], list[Ignored]]:
    """The tree, the files that may be images, and those that are left out before a look."""
    if source.is_dir():
        return Folder(source), *list_folder(source)
    if source.is_file():
        archive, ignored = open_archive(source)
        return archive, list(archive.members), ignored
    what = "is neither a folder nor a file" if source.exists() else "does not exist"
    raise UserError(f"--source {source} {what}. Name a folder or a zip file of images.")
