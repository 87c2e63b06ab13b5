"""CelebA in the wild, with or without the published deltas -> ImageSource of CelebA-HQ."""

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.celebahq.build_face import (
    Enhancer,
    FaceBuilder,
    FaceBuildError,
    FaceReader,
    FaceScorer,
)
from progan.data.celebahq.preflight import check_inputs
from progan.data.celebahq.quality import MIN_SIDE
from progan.data.celebahq.report import Report
from progan.data.format import SkippedImage
from progan.data.image_source import ImageSource, OnError, require_readable, select_rows
from progan.errors import UserError
from progan.runtime.text import format_count, pluralize
from progan.runtime.workers import in_order, worker_pool
from progan.sizes import require_resolution

Say = Callable[[str], None]
_AT_ONCE = 16  # faces that a worker judges before it hands them over


@dataclass(frozen=True, kw_only=True, slots=True)
class CelebaHqOptions:
    """What to make of CelebA.

    Attributes:
        resolution: Of the faces, px.
        max_images: Keep at most so many: the best ones, or with deltas those of the list's
            beginning, or drawn with `seed`.
        strict: Take only faces that are bit by bit those of CelebA-HQ.
        workers: Processes.
    """

    deltas: Path | None = None
    enhance: Path | None = None
    resolution: int = 1024
    max_images: int | None = None
    seed: int | None = None
    strict: bool = False
    on_error: OnError = "stop"
    workers: int = 1


def import_celebahq(
    source: Path, dest: Path, options: CelebaHqOptions, report: Report, say: Say
) -> ImageSource:
    """Check all inputs, choose the faces, and tell how they will be made.

    Without deltas and with `max_images`, every face is made and judged first, and the best ones
    are made again, for all of them would not fit on most disks. Judgements that the report knows
    already are not repeated.

    Args:
        report: Receives what becomes of each face.
        say: Receives one line for each step.

    Raises:
        UserError: Options that contradict each other, or missing inputs.
    """
    _validate_options(options)
    inputs = check_inputs(
        source,
        options.deltas,
        options.enhance,
        dest=dest,
        resolution=options.resolution,
        max_images=options.max_images,
        partial=options.on_error == "skip",
    )
    build = FaceBuilder(inputs.collection, options.resolution, _enhancer(options), options.strict)
    total = len(inputs.faces.names)
    there = np.setdiff1d(np.arange(total, dtype=np.int32), list(inputs.absent)).astype(np.int32)
    say(
        f"{len(there):,} of {format_count(total, 'face')} "
        f"{pluralize(len(there), 'has all its', 'have all their')} files."
    )
    skipped = [
        SkippedImage(inputs.faces.names[face], reason) for face, reason in inputs.absent.items()
    ]
    for face, reason in inputs.absent.items():
        report.add(face, inputs.faces.names[face], "missing", reason=reason)
    if options.deltas:
        faces = there[select_rows(len(there), options.max_images, options.seed)]
    elif options.max_images is None or options.max_images >= len(there):
        faces = there
    else:
        say(f"Judging {format_count(len(there), 'face')} to keep the best {options.max_images:,}.")
        faces, unmade = _select_best(build, there, options, inputs.faces.names, report)
        skipped += unmade
    return ImageSource(
        description=_description(source, options),
        resolution=options.resolution,
        channels=3,
        count=len(faces),
        read=FaceReader(build, faces, report),
        has_landmarks=True,
        identity=hashlib.sha256(faces.tobytes()).hexdigest(),
        skipped=tuple(skipped),
        in_processes=True,
    )


def _validate_options(options: CelebaHqOptions) -> None:
    require_resolution(options.resolution, "--resolution")
    if options.resolution < MIN_SIDE:
        raise UserError(
            f"--resolution {options.resolution} is too small to judge faces by: "
            f"it has to be at least {MIN_SIDE}. Smaller levels are made anyway."
        )
    if options.deltas and options.enhance:
        raise UserError(
            "--deltas and --enhance exclude each other: the deltas belong to the "
            "pictures as they are. Leave one of them out."
        )
    if options.strict and not options.deltas:
        raise UserError("--strict needs --deltas: without them, nothing can be exact.")


def _enhancer(options: CelebaHqOptions) -> Enhancer | None:
    threads = max((os.cpu_count() or 1) // options.workers, 1)
    return Enhancer(options.enhance, threads) if options.enhance else None


def _description(source: Path, options: CelebaHqOptions) -> str:
    if options.deltas:
        return f"CelebA-HQ, {source.resolve()} with the deltas {options.deltas.resolve()}"
    improved = f" improved by {options.enhance.resolve()}" if options.enhance else ""
    return f"CelebA, {source.resolve()}, faces cut out as for CelebA-HQ{improved}"


def _select_best(
    build: FaceBuilder,
    there: npt.NDArray[np.int32],
    options: CelebaHqOptions,
    names: Sequence[str],
    report: Report,
) -> tuple[npt.NDArray[np.int32], list[SkippedImage]]:
    """The best faces in the order of the list, and those that cannot be made."""
    scores = report.qualities()
    scores = {int(face): scores[face] for face in there if face in scores}
    unmade = []
    others = np.array([face for face in there if face not in scores], dtype=np.int32)
    for face, result in _score_faces(build, others, options.workers):
        if isinstance(result, FaceBuildError):
            unmade.append(SkippedImage(result.path, result.reason))
            report.add(face, names[face], result.status, reason=result.reason)
        else:
            scores[face] = result
            report.add(face, names[face], "judged", quality=result)
    if options.on_error == "stop":
        require_readable(build.collection.images, len(there), unmade)
    ranked = sorted(scores, key=lambda face: (-scores[face], face))
    for face in ranked[options.max_images :]:
        report.add(face, names[face], "not selected", quality=scores[face])
    return np.array(sorted(ranked[: options.max_images]), dtype=np.int32), unmade


def _score_faces(
    build: FaceBuilder, faces: npt.NDArray[np.int32], workers: int
) -> Generator[tuple[int, float | FaceBuildError]]:
    """Yield each face with its quality, or with why it cannot be made."""
    step = max(1, min(_AT_ONCE, len(faces) // (4 * workers)))
    ranges = [faces[start : start + step].tolist() for start in range(0, len(faces), step)]
    with (
        tqdm(total=len(faces), unit="img", desc="judging", disable=None) as progress,
        worker_pool(workers, in_processes=True) as pool,
    ):
        for results in in_order(pool, FaceScorer(build), ranges, ahead=2 * workers):
            yield from results
            progress.update(len(results))
