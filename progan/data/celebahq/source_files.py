"""Find and read the lists and files of CelebA and of the deltas.

Worker processes get only the few paths of a `CelebaFiles`; each reads the lists once for itself.
"""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from progan.data.celebahq.align_crop import Points
from progan.data.image_source import SourceFailure, UnreadableImage, make_read_error
from progan.errors import UserError
from progan.runtime.text import format_count
from progan.runtime.zip_files import DAMAGED_ZIP, is_zip_damage

_VALUES = 10  # left eye, right eye, nose, left and right corner of the mouth: x and y of each
_LANDMARKS_WANTED = (
    "It is CelebA's list_landmarks_celeba.txt, of the images in the wild; fetch it again."
)
LIST_FILE = "image_list.txt"
_COLUMNS = {"idx", "orig_idx", "orig_file", "proc_md5", "final_md5"}
_LIST_WANTED = "It comes with the deltas of CelebA-HQ; fetch it again."
LANDMARKS = ("Anno/list_landmarks_celeba.txt", "list_landmarks_celeba.txt")
IMAGES = ("img_celeba", "Img/img_celeba", "img_celeba.zip", "Img/img_celeba.zip")
_PER_ZIP = 1000  # deltas00000.zip has deltas 0 to 999


def read_landmarks(path: Path) -> Mapping[str, Points]:
    """Read the list: {file name: pixel indices, float32 [5,2]}, in the order of the list.

    Its first line has the number of faces, its second one titles, and each other one a file
    name and ten numbers. Raises UserError if it does not.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_LANDMARKS_WANTED}") from error
    if not (lines and lines[0].strip().isdecimal()):
        raise UserError(f"{path} does not begin with the number of its faces. {_LANDMARKS_WANTED}")
    found = {}
    for number, line in enumerate(lines[2:], start=3):
        name, *values = line.split() or [""]
        if not name:
            continue
        try:
            points = np.array(values, dtype=np.float32)
        except ValueError:
            points = np.empty(0, dtype=np.float32)
        if points.size != _VALUES or not np.isfinite(points).all() or "/" in name:
            raise UserError(
                f"{path}, line {number}, is not a file name and ten numbers. {_LANDMARKS_WANTED}"
            )
        found[name] = points.reshape(5, 2)
    if not found:
        raise UserError(f"{path} lists no faces. {_LANDMARKS_WANTED}")
    if len(found) != int(lines[0]):
        raise UserError(
            f"{path} lists {format_count(len(found), 'face')}, not the {int(lines[0]):,} of its "
            f"first line: it was cut or changed. {_LANDMARKS_WANTED}"
        )
    return found


@dataclass(frozen=True, slots=True)
class DeltaEntry:
    """One image of CelebA-HQ in the list of the deltas."""

    index: int  # its number in CelebA-HQ
    name: str  # file of CelebA that it is made from
    proc_md5: str  # MD5 of the cropped face
    final_md5: str  # MD5 of the face with its delta


def read_image_list(path: Path) -> tuple[DeltaEntry, ...]:
    """Read the list, whose first line names its columns; raises UserError."""
    try:
        titles, *lines = [
            line.split() for line in path.read_text("utf-8").splitlines() if line.strip()
        ] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_LIST_WANTED}") from error
    missing = sorted(_COLUMNS - set(titles))
    if missing:
        raise UserError(f"{path} has no column {', '.join(missing)}. {_LIST_WANTED}")
    return tuple(_parse_entry(dict(zip(titles, line, strict=False)), path) for line in lines)


def _parse_entry(line: dict[str, str], path: Path) -> DeltaEntry:
    """Parse a line of the list of deltas; UserError if it is damaged."""
    try:
        entry = DeltaEntry(
            int(line["idx"]), line["orig_file"], line["proc_md5"].lower(), line["final_md5"].lower()
        )
        if entry.index < 0 or "/" in entry.name or not entry.name.isascii():
            raise ValueError
    except (KeyError, ValueError) as error:
        words = " ".join(line.values())
        raise UserError(
            f"{path} has a line that does not fit its columns: {words!r}. {_LIST_WANTED}"
        ) from error
    return entry


@dataclass(frozen=True, slots=True)
class CelebaFiles:
    """Paths of all inputs."""

    images: Path  # folder or zip file with the JPEGs of CelebA in the wild
    landmarks: Path  # their list of landmarks
    deltas: Path | None = None  # folder of the deltas and their list

    def read_image(self, name: str) -> bytes:
        """Read the file of an image; raises UnreadableImage or SourceFailure."""
        try:
            if self.images.is_dir():
                return (self.images / name).read_bytes()
            return _open_zip_once(self.images, os.getpid()).read(
                _map_image_names_to_members(self.images)[name]
            )
        except KeyError as error:
            raise UnreadableImage(name, "it is not there") from error
        except OSError as error:
            raise make_read_error(name, error) from error
        except SourceFailure:
            raise
        except Exception as error:  # zlib, struct and zipfile each have errors of their own
            raise UnreadableImage(name, f"damaged in the zip file ({error})") from error

    def read_delta(self, index: int) -> bytes:
        """Read a delta file; raises UnreadableImage or SourceFailure."""
        assert self.deltas is not None
        name = format_delta_name(index)
        try:
            for path in (
                self.deltas / name,
                self.deltas / format_delta_zip_name(index)[:-4] / name,
            ):
                if path.is_file():
                    return path.read_bytes()
            with zipfile.ZipFile(self.deltas / format_delta_zip_name(index)) as file:
                return file.read(_map_base_names_to_members(file)[name])
        except (KeyError, FileNotFoundError) as error:
            raise UnreadableImage(name, "there is no such delta") from error
        except Exception as error:
            if isinstance(error, OSError) and not is_zip_damage(error):
                raise make_read_error(name, error) from error
            raise UnreadableImage(
                name, f"damaged in {format_delta_zip_name(index)} ({error})"
            ) from error


@dataclass(frozen=True, slots=True)
class FaceLists:
    """All faces that the lists name."""

    names: tuple[str, ...]  # files of CelebA: in the order of the deltas, or else of the landmarks
    landmarks: Points  # pixel indices, float32 [N,5,2]
    entries: tuple[DeltaEntry, ...] = ()  # lines of the list of the deltas; () without


@lru_cache(maxsize=1)
def read_face_lists(collection: CelebaFiles) -> FaceLists:
    """Read the lists; raises UserError if one is damaged or names what the other lacks."""
    landmarks = read_landmarks(collection.landmarks)
    if collection.deltas is None:
        return FaceLists(tuple(landmarks), np.stack(list(landmarks.values())))
    path = collection.deltas / LIST_FILE
    listed = read_image_list(path)
    unknown = [entry.name for entry in listed if entry.name not in landmarks]
    if unknown or not listed:
        what = "no images"
        if unknown:
            what = f"{format_count(len(unknown), 'image')} without landmarks, such as {unknown[0]}"
        raise UserError(
            f"{path} lists {what}. It does not belong to {collection.landmarks}: fetch both again."
        )
    names = tuple(entry.name for entry in listed)
    return FaceLists(names, np.stack([landmarks[name] for name in names]), listed)


def list_image_names(images: Path) -> set[str]:
    """Return the names of all files in the folder or zip file of images."""
    if images.is_dir():
        return set(os.listdir(images))
    return set(_map_image_names_to_members(images))


def list_delta_names(deltas: Path) -> set[str]:
    """Return the names of all deltas, in folders and zip files; UserError for a damaged zip."""
    names = {path.name for path in (*deltas.glob("delta*.dat"), *deltas.glob("deltas*/delta*.dat"))}
    for path in sorted(deltas.glob("deltas*.zip")):
        try:
            with zipfile.ZipFile(path) as file:
                names |= set(_map_base_names_to_members(file))
        except (*DAMAGED_ZIP, OSError) as error:
            raise _make_zip_error(path, error) from error
    return names


def format_delta_name(index: int) -> str:
    """Return the file name of a delta: 'delta00012.dat'."""
    return f"delta{index:05d}.dat"


def format_delta_zip_name(index: int) -> str:
    """Return the name of the zip file that has a delta: 'deltas10000.zip'."""
    return f"deltas{index - index % _PER_ZIP:05d}.zip"


def _map_base_names_to_members(file: zipfile.ZipFile) -> dict[str, str]:
    """Return {name without folders (backslashes too): name in the zip}."""
    return {PurePosixPath(name.replace("\\", "/")).name: name for name in file.namelist()}


@lru_cache(maxsize=1)
def _map_image_names_to_members(path: Path) -> Mapping[str, str]:
    """Return {base name: member} of the zip file of images, read once."""
    return _map_base_names_to_members(_open_zip_once(path, os.getpid()))


@lru_cache(maxsize=1)
def _open_zip_once(path: Path, process: int) -> zipfile.ZipFile:
    """Open a zip file, once per process: a forked one would share the file position."""
    try:
        return zipfile.ZipFile(path)
    except (*DAMAGED_ZIP, OSError) as error:
        raise _make_zip_error(path, error) from error


def _make_zip_error(path: Path, error: Exception) -> UserError:
    """Return what to raise for a zip file that cannot be opened: its content or its disk is bad."""
    if not isinstance(error, OSError) or is_zip_damage(error):
        return UserError(f"{path} is not a readable zip file ({error}). Fetch it again.")
    found = make_read_error(str(path), error)
    if isinstance(found, SourceFailure):
        return found
    return UserError(f"Cannot read {path}: {found.reason}. Change its permissions.")
