"""CelebA in the wild, with or without the published deltas -> ImageSource of CelebA-HQ."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.celebahq.build_face import (
    MIN_SIDE,
    Enhancer,
    FaceBuilder,
    FaceBuildError,
    build_and_report_face,
    score_faces,
)
from progan.data.celebahq.deltas import require_cryptography
from progan.data.celebahq.report import Report
from progan.data.celebahq.source_files import (
    IMAGES,
    LANDMARKS,
    LIST_FILE,
    CelebaFiles,
    FaceLists,
    format_delta_name,
    format_delta_zip_name,
    list_delta_names,
    list_image_names,
    read_face_lists,
)
from progan.data.format import COMPRESSED_FROM, TYPICAL_COMPRESSION, SkippedImage
from progan.data.image_source import ImageSource, OnError, require_readable, select_rows
from progan.data.journal import journal_exists
from progan.errors import UserError
from progan.runtime.files import require_free_space, staging_path
from progan.runtime.text import PrintLine, format_count, pluralize
from progan.runtime.workers import map_in_order, worker_pool
from progan.runtime.zip_files import are_members_of_torchscript, list_zip_members
from progan.sizes import MIN_LEVEL, level_of, require_resolution

_NUM_NAMED = 3
_CHUNK_FACES = 16  # faces that a worker scores before it returns them


@dataclass(frozen=True, kw_only=True, slots=True)
class CelebaHqOptions:
    deltas: Path | None = None
    enhance: Path | None = None
    resolution: int = 1024  # side of the faces, px
    max_images: int | None = None  # the best faces; with deltas the first, or drawn with `seed`
    seed: int | None = None
    strict: bool = False  # only faces that equal those of CelebA-HQ bit by bit
    on_error: OnError = "stop"
    workers: int = 1  # processes
    compress: bool = False  # levels above 128x128, which decides the space that is needed


class Inputs(NamedTuple):
    """The input files that were found."""

    collection: CelebaFiles
    faces: FaceLists
    absent: dict[int, str]  # row of `faces` -> description of the missing files


def import_celebahq(
    source: Path, dest: Path, options: CelebaHqOptions, report: Report, print_line: PrintLine
) -> ImageSource:
    """Check all inputs and choose the faces, which are made when they are read.

    Without deltas and with `max_images`, every face is made and scored first, and the best ones
    are made again, for all of them would not fit on most disks. Scores that the report has are
    not computed again.

    Args:
        report: Receives a line for each face.
        print_line: Receives one line for each step.

    Raises:
        UserError: Options that contradict each other, or missing inputs.
    """
    _validate_options(options)
    inputs = check_inputs(source, dest, options)
    names = inputs.faces.names
    enhancer = None
    if options.enhance:
        enhancer = Enhancer(options.enhance, max((os.cpu_count() or 1) // options.workers, 1))
    build = FaceBuilder(inputs.collection, options.resolution, enhancer, options.strict)
    present = np.setdiff1d(np.arange(len(names), dtype=np.int32), list(inputs.absent))
    present = present.astype(np.int32)
    print_line(
        f"{len(present):,} of {format_count(len(names), 'face')} "
        f"{pluralize(len(present), 'has all its', 'have all their')} files."
    )
    skipped = [SkippedImage(names[face], reason) for face, reason in inputs.absent.items()]
    for face, reason in inputs.absent.items():
        report.add(face, names[face], "missing", reason=reason)
    faces, unmade = _choose_faces(build, present, options, names, report, print_line)
    return ImageSource(
        description=_describe_source(source, options),
        resolution=options.resolution,
        channels=3,
        count=len(faces),
        read=partial(build_and_report_face, build, faces, report),
        has_landmarks=True,
        identity=hashlib.sha256(faces.tobytes()).hexdigest(),
        skipped=(*skipped, *unmade),
        in_processes=True,
    )


def _validate_options(options: CelebaHqOptions) -> None:
    """Raise UserError for options that exclude or need each other."""
    require_resolution(options.resolution, "--resolution")
    if options.resolution < MIN_SIDE:
        raise UserError(
            f"--resolution {options.resolution} is too small to judge faces by: "
            f"it has to be at least {MIN_SIDE}. Smaller levels are made anyway."
        )
    if options.deltas and options.enhance:
        raise UserError(
            "--deltas and --enhance exclude each other: the deltas belong to the "
            "images as they are. Leave one of them out."
        )
    if options.strict and not options.deltas:
        raise UserError("--strict needs --deltas: without them, nothing can be exact.")


def check_inputs(source: Path, dest: Path, options: CelebaHqOptions) -> Inputs:
    """Find all inputs, and check the free space on the disk of `dest`.

    Raises:
        UserError: Everything that is missing, in one message; with --on-error skip, images and
            deltas may be missing.
    """
    deltas = options.deltas
    images, landmarks = (
        _find_first_existing(source, IMAGES),
        _find_first_existing(source, LANDMARKS),
    )
    problems = _describe_missing_inputs(source, images, landmarks, deltas, options.enhance)
    if deltas:
        problems += _collect_user_error(require_cryptography)
    faces, absent = None, dict[int, str]()
    if images and landmarks and (deltas is None or (deltas / LIST_FILE).is_file()):
        collection = CelebaFiles(images, landmarks, deltas)
        try:
            faces = read_face_lists(collection)
            absent = _find_missing_files(collection, faces)
        except UserError as error:
            problems.append(str(error))
    if faces:
        if absent and options.on_error == "stop":
            problems.append(_describe_missing_files(faces, absent))
        count = len(faces.names) - len(absent)
        count = count if options.max_images is None else min(count, options.max_images)
        levels = range(MIN_LEVEL, level_of(options.resolution) + 1)
        num_bytes = count * sum(
            estimate_image_bytes(level, compress=options.compress) for level in levels
        )
        if not journal_exists(staging_path(dest)):  # else `write_dataset` checks what is missing
            problems += _collect_user_error(
                lambda: require_free_space(dest, num_bytes, f"The dataset {dest}")
            )
    if problems or faces is None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UserError(f"CelebA-HQ cannot be made yet:\n{listed}")
    if len(absent) == len(faces.names):
        raise UserError(f"No face of {len(faces.names):,} has all its files: {absent[0]}.")
    return Inputs(collection, faces, absent)


def estimate_image_bytes(level: int, *, compress: bool) -> int:
    """Estimate the size of a face at a level."""
    shrink = TYPICAL_COMPRESSION if compress and level >= COMPRESSED_FROM else 1
    return 3 * (1 << 2 * level) // shrink


def _collect_user_error(check: Callable[[], None]) -> list[str]:
    """Run a check, and return the message of its UserError in a list; [] without an error."""
    try:
        check()
    except UserError as error:
        return [str(error)]
    return []


def _find_first_existing(source: Path, names: Sequence[str]) -> Path | None:
    """Return the first of `names` that exists in `source`, or None."""
    return next((source / name for name in names if (source / name).exists()), None)


def _describe_missing_inputs(
    source: Path,
    images: Path | None,
    landmarks: Path | None,
    deltas: Path | None,
    enhance: Path | None,
) -> list[str]:
    """Return a line for each input that is missing or of another format; [] if none is."""
    problems = []
    if images is None:
        packed = " (its 7z archive is: unpack it)" * any(source.glob("**/img_celeba.7z*"))
        problems.append(
            f"No folder img_celeba and no img_celeba.zip in --source "
            f"{source}{packed}. They are CelebA's images in the wild, 202,599 JPEGs."
        )
    if landmarks is None:
        problems.append(
            f"No {LANDMARKS[0]} in --source {source}. It is among CelebA's annotations."
        )
    if deltas and not (deltas / LIST_FILE).is_file():
        problems.append(
            f"No {LIST_FILE} in --deltas {deltas}. It comes with "
            f"{format_delta_zip_name(0)} and the others."
        )
    if enhance and not (
        enhance.is_file() and are_members_of_torchscript(list_zip_members(enhance))
    ):
        problems.append(
            f"--enhance {enhance} is not a TorchScript file, as torch.jit.save() writes it."
        )
    return problems


def _find_missing_files(collection: CelebaFiles, faces: FaceLists) -> dict[int, str]:
    """Return {face: which of its files is missing}."""
    present = list_image_names(collection.images)
    absent = {
        row: f"{collection.images.name} has no {name}"
        for row, name in enumerate(faces.names)
        if name not in present
    }
    if collection.deltas:
        deltas = list_delta_names(collection.deltas)
        for row, entry in enumerate(faces.entries):
            if format_delta_name(entry.index) not in deltas:
                absent.setdefault(
                    row,
                    f"there is neither {format_delta_zip_name(entry.index)} with, nor a "
                    f"loose {format_delta_name(entry.index)}",
                )
    return absent


def _describe_missing_files(faces: FaceLists, absent: dict[int, str]) -> str:
    """Describe which faces lack a file, the first ones by name, and the remedy."""
    shown = "; ".join(list(absent.values())[:_NUM_NAMED])
    more = "; …" * (len(absent) > _NUM_NAMED)
    return (
        f"{len(absent):,} of {format_count(len(faces.names), 'face')} "
        f"{pluralize(len(absent), 'lacks', 'lack')} a file: {shown}{more}. "
        "Fetch them, or leave such faces out with --on-error skip."
    )


def _describe_source(source: Path, options: CelebaHqOptions) -> str:
    """Return the description of the source, for dataset.json."""
    if options.deltas:
        return f"CelebA-HQ, {source.resolve()} with the deltas {options.deltas.resolve()}"
    improved = f" improved by {options.enhance.resolve()}" if options.enhance else ""
    return f"CelebA, {source.resolve()}, faces cut out as for CelebA-HQ{improved}"


def _choose_faces(
    build: FaceBuilder,
    present: npt.NDArray[np.int32],
    options: CelebaHqOptions,
    names: Sequence[str],
    report: Report,
    print_line: PrintLine,
) -> tuple[npt.NDArray[np.int32], list[SkippedImage]]:
    """Return the faces to keep in the order of the list, and those that cannot be made."""
    if options.deltas:
        return present[select_rows(len(present), options.max_images, options.seed)], []
    if options.max_images is None or options.max_images >= len(present):
        return present, []
    print_line(
        f"Judging {format_count(len(present), 'face')} to keep the best {options.max_images:,}."
    )
    known = report.read_qualities()
    scores = {int(face): known[face] for face in present if face in known}
    unmade = []
    others = np.array([face for face in present if face not in scores], dtype=np.int32)
    for face, result in _score_faces(build, others, options.workers):
        if isinstance(result, FaceBuildError):
            unmade.append(SkippedImage(result.path, result.reason))
            report.add(face, names[face], result.status, reason=result.reason)
        else:
            scores[face] = result
            report.add(face, names[face], "judged", quality=result)
    if options.on_error == "stop":
        require_readable(build.collection.images, len(present), unmade)
    ranked = sorted(scores, key=lambda face: (-scores[face], face))
    for face in ranked[options.max_images :]:
        report.add(face, names[face], "not selected", quality=scores[face])
    return np.array(sorted(ranked[: options.max_images]), dtype=np.int32), unmade


def _score_faces(
    build: FaceBuilder, faces: npt.NDArray[np.int32], workers: int
) -> Iterator[tuple[int, float | FaceBuildError]]:
    """Yield each face with its quality, or with the reason why it cannot be made."""
    step = max(1, min(_CHUNK_FACES, len(faces) // (4 * workers)))
    ranges = [faces[start : start + step].tolist() for start in range(0, len(faces), step)]
    with (
        tqdm(total=len(faces), unit="img", desc="judging", disable=None) as progress,
        worker_pool(workers, in_processes=True) as pool,
    ):
        for results in map_in_order(pool, partial(score_faces, build), ranges, ahead=2 * workers):
            yield from results
            progress.update(len(results))
