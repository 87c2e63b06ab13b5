"""Where CelebA and the deltas lie on disk, and how their files are read.

Worker processes get only the few paths of a `Collection`; each reads the lists once for itself.
"""

import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from progan.data.celebahq.geometry import Points
from progan.data.celebahq.image_list import LIST_FILE, Listed, read_image_list
from progan.data.celebahq.landmarks import read_landmarks
from progan.data.source import UnreadableImage
from progan.errors import UserError
from progan.runtime.text import format_count

LANDMARKS = ("Anno/list_landmarks_celeba.txt", "list_landmarks_celeba.txt")
IMAGES = ("img_celeba", "Img/img_celeba", "img_celeba.zip", "Img/img_celeba.zip")
_PER_ZIP = 1000  # deltas00000.zip has deltas 0 to 999


@dataclass(frozen=True, slots=True)
class Collection:
    """The places of all inputs.

    Attributes:
        images: Folder or zip file with the JPEGs of CelebA in the wild.
        landmarks: Their list of landmarks.
        deltas: Folder of the deltas and their list, or None.
    """

    images: Path
    landmarks: Path
    deltas: Path | None = None

    def image(self, name: str) -> bytes:
        """The content of an image's file; raises UnreadableImage."""
        try:
            if self.images.is_dir():
                return (self.images / name).read_bytes()
            return _archive(self.images, os.getpid()).read(_members(self.images)[name])
        except KeyError as error:
            raise UnreadableImage(name, "it is not there") from error
        except OSError as error:
            raise UnreadableImage(name, error.strerror or str(error)) from error
        except Exception as error:  # zlib, struct and zipfile each have errors of their own
            raise UnreadableImage(name, f"damaged in the zip file ({error})") from error

    def delta(self, index: int) -> bytes:
        """The content of a delta file; raises UnreadableImage."""
        assert self.deltas is not None
        name = delta_name(index)
        try:
            for path in (self.deltas / name, self.deltas / zip_name(index)[:-4] / name):
                if path.is_file():
                    return path.read_bytes()
            with zipfile.ZipFile(self.deltas / zip_name(index)) as file:
                return file.read(_plain_names(file)[name])
        except (KeyError, FileNotFoundError) as error:
            raise UnreadableImage(name, "there is no such delta") from error
        except Exception as error:
            raise UnreadableImage(name, f"damaged in {zip_name(index)} ({error})") from error


@dataclass(frozen=True, slots=True)
class Faces:
    """All faces that the lists name.

    Attributes:
        names: Files of CelebA: in the order of the deltas, or else of the landmarks.
        landmarks: Pixel numbers, float32 [N,5,2].
        listed: What the deltas' list says of each; () without deltas.
    """

    names: tuple[str, ...]
    landmarks: Points
    listed: tuple[Listed, ...] = ()


@lru_cache(maxsize=1)
def read_faces(collection: Collection) -> Faces:
    """Read the lists; raises UserError if one is damaged or names what the other lacks."""
    landmarks = read_landmarks(collection.landmarks)
    if collection.deltas is None:
        return Faces(tuple(landmarks), np.stack(list(landmarks.values())))
    path = collection.deltas / LIST_FILE
    listed = read_image_list(path)
    unknown = [entry.name for entry in listed if entry.name not in landmarks]
    if unknown or not listed:
        what = (f"{format_count(len(unknown), 'image')} without landmarks, such as {unknown[0]}"
                if unknown else "no images")
        raise UserError(f"{path} lists {what}. It does not belong to {collection.landmarks}: "
                        "fetch both again.")
    names = tuple(entry.name for entry in listed)
    return Faces(names, np.stack([landmarks[name] for name in names]), listed)


def image_names(images: Path) -> set[str]:
    """Names of all files in the folder or zip file of images."""
    if images.is_dir():
        return set(os.listdir(images))
    return set(_members(images))


def delta_names(deltas: Path) -> set[str]:
    """Names of all deltas, loose ones, in folders and in zip files; raises UserError."""
    return set(_delta_names(deltas))


def _delta_names(deltas: Path) -> Iterator[str]:
    yield from (path.name for path in deltas.glob("delta*.dat"))
    yield from (path.name for path in deltas.glob("deltas*/delta*.dat"))
    for path in sorted(deltas.glob("deltas*.zip")):
        try:
            with zipfile.ZipFile(path) as file:
                yield from _plain_names(file)
        except (zipfile.BadZipFile, OSError) as error:
            raise UserError(f"{path} is not a readable zip file ({error}). "
                            "Fetch it again.") from error


def delta_name(index: int) -> str:
    return f"delta{index:05d}.dat"


def zip_name(index: int) -> str:
    return f"deltas{index - index % _PER_ZIP:05d}.zip"


def _plain_names(file: zipfile.ZipFile) -> dict[str, str]:
    """{name without folders, which some programs end with backslashes: name in the zip file}."""
    return {PurePosixPath(name.replace("\\", "/")).name: name for name in file.namelist()}


@lru_cache(maxsize=1)
def _members(path: Path) -> Mapping[str, str]:
    return _plain_names(_archive(path, os.getpid()))


@lru_cache(maxsize=1)
def _archive(path: Path, process: int) -> zipfile.ZipFile:
    """An open zip file; each process its own, for a forked one would share the place in it."""
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{path} is not a readable zip file ({error}). Fetch it again.") from error
