"""Interface between importers and the writer: numbered images, and unreadable ones."""

import errno
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from progan.data.format import SkippedImage
from progan.errors import UserError
from progan.invocation import command_line
from progan.runtime.text import escape_controls, format_count
from progan.sizes import SQUARE, Size, level_of, size_at_level

Pixels = npt.NDArray[np.uint8]
OnError = Literal["stop", "skip"]
_NUM_LISTED = 10
_SAMPLE_BYTES = 1 << 20
# Errors of one file; all others are of its disk, of the way there, or of this process.
_FILE_ERRORS = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES,
    errno.EPERM, errno.EINVAL,
}  # fmt: skip
_OUT_OF_FILES = {errno.EMFILE, errno.ENFILE}


@dataclass(frozen=True, slots=True)
class Sample:
    """One image with its landmarks."""

    image: Pixels  # uint8 [H,W,C]
    landmarks: npt.NDArray[np.float32] | None = None  # [5,2] in pixels
    # All lower levels, {level: uint8 [h,w,C]}, instead of averages of the rounded pixels of
    # `image`; all samples of a source have them, or none.
    smaller: Mapping[int, Pixels] = field(default_factory=dict)
    doubt: SkippedImage | None = None  # reason to leave it out, which `--on-error skip` does


class UnreadableImage(UserError):
    """An image that cannot be decoded; `--on-error skip` leaves it out."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)  # both in args, so that it travels between processes
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"Cannot read {self.path}: {self.reason}. Repair or remove it, or leave such "
            "images out with --on-error skip."
        )


class SourceFailure(UserError):
    """A source that does not answer now: no image is at fault, and the same command continues."""


def make_read_error(path: str, error: OSError) -> UnreadableImage | SourceFailure:
    """Return what to raise where the system does not read the image at a path.

    One that is missing or must not be read is unreadable; else the source has failed.
    """
    reason = error.strerror or str(error)
    if error.errno is None or error.errno in _FILE_ERRORS:
        return UnreadableImage(path, reason)
    if error.errno in _OUT_OF_FILES:
        return SourceFailure(
            f"Cannot read {path}: {reason}. Raise the limit of open files (ulimit -n)."
        )
    return SourceFailure(
        f"Cannot read {path}: {reason}. Check the disk that it is on and repeat the command, or "
        "remove the file."
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSource:
    """Images of one size and kind, numbered from 0."""

    description: str  # origin of the images, for people
    resolution: int  # side of squares at their level, a power of two from 4 to 1024
    channels: int  # 1 grey, 3 RGB, 4 RGBA
    count: int
    # Image number -> Sample; raises UnreadableImage, or SourceFailure. Called from several threads,
    # or, with `in_processes`, from several processes; then it must be picklable.
    read: Callable[[int], Sample]
    in_processes: bool = False  # `read` computes in Python, so that threads would wait
    base: Size = SQUARE  # their size at level 2
    identity: str = ""  # hash of the images, where the options do not identify them
    labels: npt.NDArray[np.int64] | None = None  # class of each image, [count]
    label_names: tuple[str, ...] = ()  # class names by index
    has_landmarks: bool = False  # every sample has landmarks
    held_out: npt.NDArray[np.int64] | None = None  # numbers of the images held out of training
    skipped: tuple[SkippedImage, ...] = ()  # images that were left out already

    @property
    def size(self) -> Size:
        return size_at_level(self.base, level_of(self.resolution))


def hash_file_samples(*paths: Path) -> str:
    """Hash sizes and the first and last MiB of files: enough to see whether they changed."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            for start in (0, max(size - _SAMPLE_BYTES, 0)):
                file.seek(start)
                digest.update(file.read(_SAMPLE_BYTES))
        digest.update(size.to_bytes(8))
    return digest.hexdigest()


def select_rows(count: int, max_images: int | None, seed: int | None) -> npt.NDArray[np.int64]:
    """Select all of `count` images, or `max_images`: the first, or drawn with a seed.

    Returns int64 [n], ascending; drawn without replacement.
    """
    taken = count if max_images is None else min(count, max_images)
    if seed is None:
        return np.arange(taken, dtype=np.int64)
    return np.sort(np.random.RandomState(seed).permutation(count)[:taken]).astype(np.int64)


def require_readable(source: object, total: int, unreadable: Sequence[SkippedImage]) -> None:
    """Raise UserError that lists the unreadable images, if there are any."""
    if unreadable:
        raise UserError(
            f"{len(unreadable):,} of {format_count(total, 'image')} in {source} cannot "
            f"be read:\n{format_skipped(unreadable)}\nRepair or remove them, or leave them out "
            "with --on-error skip."
        )


def format_skipped(skipped: Sequence[SkippedImage], *, lister: str | None = None) -> str:
    """Format the first ten with their reasons, one in a line, and the number of the others.

    Args:
        lister: What lists all of them; '': nothing; None: `dataset_tool.py check`.
    """
    lines = [f"  {item.path}: {item.reason}" for item in skipped[:_NUM_LISTED]]
    lines = [escape_controls(line) for line in lines]
    if (more := len(skipped) - _NUM_LISTED) > 0:
        if lister is None:  # it does not read the other sources
            lister = f"of folders, zip and tar files {command_line('dataset', 'check')}"
        lines.append(f"  and {more:,} more{f'; {lister} lists all' if lister else ''}")
    return "\n".join(lines)
