"""Look whether all inputs are there before hours of work, and say at once what is missing."""

import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from progan.data.celebahq.deltas import require_cryptography
from progan.data.celebahq.source_files import (
    IMAGES,
    LANDMARKS,
    LIST_FILE,
    CelebaFiles,
    FaceLists,
    delta_name,
    delta_names,
    image_names,
    read_face_lists,
    zip_name,
)
from progan.errors import UserError
from progan.runtime.files import require_free_space
from progan.runtime.text import format_count, pluralize
from progan.sizes import MIN_LEVEL, level_of

_NUM_NAMED = 3


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is there.

    Attributes:
        collection: Where it is.
        faces: What the lists name.
        absent: Row of `faces` -> what it lacks, for those that lack something.
    """

    collection: CelebaFiles
    faces: FaceLists
    absent: dict[int, str]


def check_inputs(
    source: Path,
    deltas: Path | None,
    enhance: Path | None,
    *,
    dest: Path,
    resolution: int,
    max_images: int | None,
    partial: bool,
) -> Inputs:
    """Look for all inputs and for room on the disk of `dest`.

    Args:
        partial: Images and deltas may be missing.

    Raises:
        UserError: Everything that is missing, in one message.
    """
    problems: list[str] = []
    images = _first_existing(source, IMAGES)
    landmarks = _first_existing(source, LANDMARKS)
    problems += _missing_places(source, images, landmarks, deltas, enhance)
    if deltas:
        problems += _error_message(require_cryptography)
    faces, absent = None, dict[int, str]()
    if images and landmarks and (deltas is None or (deltas / LIST_FILE).is_file()):
        collection = CelebaFiles(images, landmarks, deltas)
        try:
            faces = read_face_lists(collection)
            absent = _find_missing_files(collection, faces)
        except UserError as error:
            problems.append(str(error))
    if faces:
        if absent and not partial:
            problems += _describe_missing(faces, absent)
        count = len(faces.names) - len(absent)
        count = count if max_images is None else min(count, max_images)
        num_bytes = (
            count * 3 * sum(4**level for level in range(MIN_LEVEL, level_of(resolution) + 1))
        )
        problems += _error_message(
            lambda: require_free_space(dest, num_bytes, f"The dataset {dest}")
        )
    if problems or faces is None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(f"CelebA-HQ cannot be made yet:\n{listed}")
    if len(absent) == len(faces.names):
        raise UserError(f"No face of {len(faces.names):,} has all its files: {absent[0]}.")
    return Inputs(collection, faces, absent)


def _error_message(check: Callable[[], None]) -> list[str]:
    try:
        check()
    except UserError as error:
        return [str(error)]
    return []


def _first_existing(source: Path, names: Sequence[str]) -> Path | None:
    with suppress(StopIteration):
        return next(source / name for name in names if (source / name).exists())
    return None


def _missing_places(
    source: Path,
    images: Path | None,
    landmarks: Path | None,
    deltas: Path | None,
    enhance: Path | None,
) -> list[str]:
    problems = []
    if images is None:
        packed = " (its 7z archive is: unpack it)" * any(source.glob("**/img_celeba.7z*"))
        problems.append(
            f"There is no folder img_celeba and no img_celeba.zip in --source "
            f"{source}{packed}. They are CelebA's images in the wild, 202,599 JPEGs."
        )
    if landmarks is None:
        problems.append(
            f"There is no {LANDMARKS[0]} in --source {source}. It is among CelebA's annotations."
        )
    if deltas and not (deltas / LIST_FILE).is_file():
        problems.append(
            f"There is no {LIST_FILE} in --deltas {deltas}. It comes with "
            f"{zip_name(0)} and the others."
        )
    if enhance and not _is_torchscript(enhance):
        problems.append(
            f"--enhance {enhance} is no TorchScript file, as torch.jit.save() writes it."
        )
    return problems


def _is_torchscript(path: Path) -> bool:
    """Whether a file looks like one, without loading torch."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as file:
        return any("/code/" in name for name in file.namelist())


def _find_missing_files(collection: CelebaFiles, faces: FaceLists) -> dict[int, str]:
    there = image_names(collection.images)
    absent = {
        row: f"{collection.images.name} has no {name}"
        for row, name in enumerate(faces.names)
        if name not in there
    }
    if collection.deltas:
        deltas = delta_names(collection.deltas)
        for row, entry in enumerate(faces.entries):
            if delta_name(entry.index) not in deltas:
                absent.setdefault(
                    row,
                    f"there is neither {zip_name(entry.index)} with, nor a "
                    f"loose {delta_name(entry.index)}",
                )
    return absent


def _describe_missing(faces: FaceLists, absent: dict[int, str]) -> list[str]:
    shown = "; ".join(list(absent.values())[:_NUM_NAMED])
    more = "; …" * (len(absent) > _NUM_NAMED)
    return [
        f"{len(absent):,} of {format_count(len(faces.names), 'face')} "
        f"{pluralize(len(absent), 'lacks', 'lack')} a file: {shown}{more}. "
        "Fetch them, or leave such faces out with --on-error skip."
    ]
