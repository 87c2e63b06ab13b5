"""Find the images that a label table names, however it spells their paths."""

import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple

from progan.data.importers.pixels import image_extensions

Key = Callable[[str], str | None]


class Match(NamedTuple):
    """An image, and in what its path differs from the name in the table; '' if in nothing."""

    path: str
    difference: str


class ImageNames:
    """The paths of all images of a source, to be looked up by the names of a table.

    A name that is no path of an image is compared without regard to Unicode normalization, then
    to case, and, where it has no extension, then to extensions; it counts only if it means a
    single image.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._index = cache(self._make_index)

    def find(self, name: str) -> Match | None:
        """The image of a name, or None if there is none, or more than one."""
        for difference, key in _SPELLINGS:
            wanted = key(name)
            path = None if wanted is None else self._index(key).get(wanted)
            if path is not None:
                return Match(path, difference)
        return None

    def _make_index(self, key: Key) -> dict[str, str | None]:
        """Paths by key; None where several have the same."""
        index: dict[str, str | None] = {}
        for path in self._paths:
            found = _without_extension(path) if key is _extensionless else key(path)
            if found is not None:
                index[found] = None if found in index else path
        return index


def has_image_extension(name: str) -> bool:
    """Whether a name ends like a file of an image."""
    return PurePosixPath(name.strip()).suffix.lower() in _extensions()


@cache
def _extensions() -> set[str]:
    return image_extensions()


def _exact(name: str) -> str:
    return name


def _relative(name: str) -> str:
    """With slashes, and without blanks around it and parts that mean nothing: './a//b'."""
    parts = name.strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", _relative(name))


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", _composed(name).casefold())


def _extensionless(name: str) -> str | None:
    """Only a name that has no extension of an image may go without."""
    return None if has_image_extension(name) else _caseless(name)


def _without_extension(path: str) -> str:
    return _caseless(path.removesuffix(PurePosixPath(path).suffix))


_SPELLINGS: tuple[tuple[str, Key], ...] = (
    ("", _exact), ("", _relative), ("Unicode normalization", _composed), ("case", _caseless),
    ("extension", _extensionless))
