"""Write a dataset from a source of images: in order, and where it was interrupted, again."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.array_files import DatasetArrays, ImageChunk, encode_webp
from progan.data.format import (
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARK_SHAPE,
    MAX_SHARD_BYTES,
    DatasetInfo,
    SkippedImage,
    compute_rows_per_shard,
)
from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, require_readable
from progan.data.journal import (
    Journal,
    OtherJob,
    PeriodicFlush,
    hash_job,
    journal_exists,
    read_journal,
    remove_journal,
)
from progan.data.pyramid import build_pyramid
from progan.data.splits import compute_holdout_size, draw_holdout_rows
from progan.errors import UserError
from progan.runtime.files import (
    clear_folder,
    require_free_space,
    staging_directory,
    write_atomically,
)
from progan.runtime.text import format_count, pluralize
from progan.runtime.workers import in_order, worker_pool
from progan.sizes import level_of

_CHUNK_BYTES = 4 * 2**20  # of images that one worker holds at a time: one of 1024x1024
_CHUNK_ROWS = 64
_LARGE_BYTES = 31 * 2**20  # below the 32 MiB from which glibc treats every block by itself
_WEBP_HEADER_BYTES = 1 << 12
COMPRESSED_FROM = 8  # level: all below together are an eighth of the first one
JOURNAL_SECONDS = 1.0  # of work, at most, are lost where a machine stops


def write_dataset(
    source: ImageSource,
    dest: Path,
    *,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    on_error: OnError = "stop",
    holdout: float = 0.0,
    seed: int = 0,
    compress: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    say_doubtful: Callable[[Sequence[SkippedImage]], None] = lambda doubtful: None,
    say: Callable[[str], None] = lambda line: None,
) -> DatasetInfo:
    """Write the images of `source` to the new folder `dest` and return what was written.

    What was interrupted, by Ctrl-C, a full disk or a crash, is continued by the same call.

    Args:
        options: What the user asked for, kept in `dataset.json`.
        workers: Threads or processes that read images.
        on_error: 'stop' after all images if some are unreadable, or 'skip' and list them, and
            the doubtful ones too.
        holdout: Fraction of the images written that training leaves out, in [0, 1).
        seed: Draws which ones.
        compress: Store the levels above 128x128 as lossless WebP.
        max_shard_bytes: No array file of a level becomes larger than this.
        say_doubtful: Receives the images that are written though they are doubtful, if any are.
        say: Receives a line if an interrupted attempt is continued.

    Raises:
        UserError: No room, `dest` exists, images are unreadable, none would be left to train on,
            or something else was interrupted in this place.
    """
    plan = _planned(source, dest.resolve().name, options or {}, holdout, max_shard_bytes)
    plan = _compressed(plan) if compress else plan
    job = hash_job(plan, {"on_error": on_error, "seed": seed, "source": source.identity})
    try:
        with staging_directory(dest) as directory, _kept_if_resumable(directory):
            interrupted = any(directory.iterdir())
            arrays, journal = _begun(directory, plan, job)
            if interrupted:
                say(_resumption(journal, plan.count))
            with closing(arrays):
                _require_room(dest, plan, journal)
                journal = _write_images(
                    source, arrays, directory, journal, workers, on_error, set(plan.webp_bytes)
                )
                info = _finished(source, arrays, directory, plan, journal, holdout, seed)
    except OtherJob as error:
        raise UserError(
            f"There is an unfinished dataset in {error}, which was to become another "
            f"one than {dest} is now. Repeat the command that began it, or remove "
            "it."
        ) from error
    if journal.doubtful:
        say_doubtful(journal.doubtful)
    return info


@contextmanager
def _kept_if_resumable(directory: Path) -> Iterator[None]:
    """After a failure, remove files that no journal describes: nothing can be made of them."""
    try:
        yield
    except BaseException:
        if not journal_exists(directory):
            with suppress(OSError):  # the failure is told, not that of the cleaning
                clear_folder(directory)
        raise


def _resumption(journal: Journal, total: int) -> str:
    if not journal.asked:
        return "An interrupted creation left no complete image: starting with the first one."
    return (
        f"Continuing an interrupted creation: {journal.asked:,} of "
        f"{format_count(total, 'image')} {pluralize(journal.asked, 'is', 'are')} done."
    )


def _begun(directory: Path, plan: DatasetInfo, job: str) -> tuple[DatasetArrays, Journal]:
    """The files and the journal of an interrupted attempt, or new ones."""
    journal = read_journal(directory, job)
    try:
        return DatasetArrays(directory, plan, journal.written), journal
    except (OSError, ValueError):  # what the journal counts is not there
        clear_folder(directory)
        return DatasetArrays(directory, plan, 0), Journal(job)


def _write_images(
    source: ImageSource,
    arrays: DatasetArrays,
    directory: Path,
    journal: Journal,
    workers: int,
    on_error: OnError,
    compressed: set[int],
) -> Journal:
    """Write all images that the journal lacks, and return the journal of all."""
    kept, job = journal, _Job(source.read, compressed, on_error == "skip")
    with (
        closing(PeriodicFlush(arrays, directory, JOURNAL_SECONDS)) as flusher,
        closing(_chunks(source, workers, journal.asked, job)) as chunks,
        tqdm(
            total=source.count,
            initial=journal.asked,
            unit="img",
            desc=directory.name[1:-8],
            disable=None,
        ) as progress,
    ):
        try:
            for chunk in chunks:
                journal = journal.after(chunk.num_read, chunk.skipped, chunk.doubtful)
                progress.update(chunk.num_read)
                if journal.skipped and on_error == "stop":
                    continue  # nothing will come of it, but all that are unreadable are named
                arrays.append(chunk)
                kept = journal
                flusher.flush_if_due(kept)
        except BaseException:
            flusher.flush(kept)
            raise
    if journal.skipped and on_error == "stop":
        clear_folder(directory)
        require_readable(source.description, journal.asked, [item for _, item in journal.skipped])
    return journal


def _finished(
    source: ImageSource,
    arrays: DatasetArrays,
    directory: Path,
    plan: DatasetInfo,
    journal: Journal,
    holdout: float,
    seed: int,
) -> DatasetInfo:
    """Write what follows from the images, and describe them."""
    skipped = tuple(item for _, item in journal.skipped)
    if not journal.written:
        clear_folder(directory)
        raise UserError(
            "None of the images can be used; the first one: "
            f"{skipped[0].path}: {skipped[0].reason}."
        )
    written = np.delete(np.arange(source.count), [number for number, _ in journal.skipped])
    try:
        held_out = _held_out(source, written, holdout, seed)
    except UserError:
        clear_folder(directory)
        raise
    if source.labels is not None:
        arrays.append_to(LABELS_FILE, source.labels[written])
    arrays.append_to(HOLDOUT_FILE, held_out)
    info = _with_count(plan, written.size, held_out.size, source.skipped + skipped)
    info = replace(info, webp_bytes=arrays.webp_bytes())
    info = replace(info, checksums=arrays.finish(info))
    write_atomically(directory / INFO_FILE, info.to_json())
    remove_journal(directory)
    return info


def _require_room(dest: Path, plan: DatasetInfo, journal: Journal) -> None:
    there = sum(file.bytes_of(min(journal.written, file.shape[0])) for file in plan.array_files())
    require_free_space(dest, plan.num_bytes - there * bool(journal.written), f"The dataset {dest}")


def _planned(
    source: ImageSource, name: str, options: Mapping[str, Any], holdout: float, max_shard_bytes: int
) -> DatasetInfo:
    """What the dataset will be if every image can be read."""
    if source.count < 1:
        raise UserError(f"There is no image left to write from {source.description}.")
    return DatasetInfo(
        name=name,
        resolution=source.resolution,
        base=source.base,
        channels=source.channels,
        count=source.count,
        label_names=source.label_names,
        has_landmarks=source.has_landmarks,
        rows_per_shard=compute_rows_per_shard(
            source.resolution, source.channels, source.count, max_shard_bytes, source.base
        ),
        holdout_count=_held_out(source, np.arange(source.count), holdout, 0).size,
        source=source.description,
        options=options,
        skipped=source.skipped,
    )


def _compressed(plan: DatasetInfo) -> DatasetInfo:
    """The same with compressed levels; nobody knows their size yet, but none becomes so large."""
    values = {level: plan.size(level).pixels * plan.channels for level in plan.levels}
    most = {
        level: plan.count * (5 * values[level] // 4 + _WEBP_HEADER_BYTES)
        for level in plan.levels
        if level >= COMPRESSED_FROM
    }
    return replace(plan, webp_bytes=most)


def _with_count(
    plan: DatasetInfo, count: int, holdout_count: int, skipped: tuple[SkippedImage, ...]
) -> DatasetInfo:
    fewer = {level: min(rows, count) for level, rows in plan.rows_per_shard.items()}
    return replace(
        plan, count=count, holdout_count=holdout_count, rows_per_shard=fewer, skipped=skipped
    )


def _held_out(
    source: ImageSource, written: npt.NDArray[np.int64], holdout: float, seed: int
) -> npt.NDArray[np.int64]:
    """Rows of the dataset that training leaves out: those of the source, or drawn ones."""
    if source.held_out is not None and not holdout:
        return np.flatnonzero(np.isin(written, source.held_out)).astype(np.int64)
    return draw_holdout_rows(compute_holdout_size(holdout, written.size), written.size, seed)


def _chunks(source: ImageSource, workers: int, first: int, job: "_Job") -> Generator[ImageChunk]:
    """Yield the images from number `first` on in order, read by the workers some chunks ahead."""
    rows = _chunk_rows(source, workers)
    ranges = [
        range(start, min(start + rows, source.count)) for start in range(first, source.count, rows)
    ]
    _keep_freed_memory()
    with worker_pool(workers, in_processes=source.in_processes) as pool:
        yield from in_order(pool, job, ranges, ahead=2 * workers)


def _keep_freed_memory() -> None:
    """Have the C library keep freed memory for the next image.

    Getting it back from the system, page by page, takes longer than the arithmetic. Once glibc has
    freed a large block, it keeps all smaller ones: mallopt(3), the dynamic mmap threshold.
    """
    np.empty(_LARGE_BYTES, np.uint8)


def _chunk_rows(source: ImageSource, workers: int) -> int:
    """Enough images to make the work worth its hand-over, few enough to share it evenly."""
    fitting = _CHUNK_BYTES // (source.size.pixels * source.channels)
    return max(1, min(_CHUNK_ROWS, fitting, source.count // (4 * workers)))


@dataclass(frozen=True, slots=True)
class _Job:
    """Reads a range of images and shrinks them; picklable if `read` is."""

    read: Callable[[int], Sample]
    compressed: set[int]  # levels
    only_sound: bool  # leave doubtful images out

    def __call__(self, rows: range) -> ImageChunk:
        samples, skipped = [], []
        for row in rows:
            try:
                sample = self.read(row)
            except UnreadableImage as error:
                skipped.append((row, SkippedImage(error.path, error.reason)))
                continue
            if sample.doubt is not None and self.only_sound:
                skipped.append((row, sample.doubt))
            else:
                samples.append(sample)
        levels = _levels(samples) if samples else {}
        points = [item.landmarks for item in samples if item.landmarks is not None]
        return ImageChunk(
            num_read=len(rows),
            levels={
                level: images for level, images in levels.items() if level not in self.compressed
            },
            webp={
                level: [encode_webp(image) for image in images]
                for level, images in levels.items()
                if level in self.compressed
            },
            landmarks=np.array(points, dtype=np.float32).reshape(-1, *LANDMARK_SHAPE),
            skipped=tuple(skipped),
            doubtful=tuple(item.doubt for item in samples if item.doubt is not None),
        )


def _levels(samples: Sequence[Sample]) -> dict[int, npt.NDArray[np.uint8]]:
    """All levels of the samples, {level: [n,h,w,C]}."""
    images = _stacked([item.image for item in samples])
    if not samples[0].smaller:
        return build_pyramid(images)
    smaller = {
        level: _stacked([item.smaller[level] for item in samples]) for level in samples[0].smaller
    }
    return {level_of(min(images.shape[1:3])): images, **smaller}


def _stacked(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """np.stack(), without a copy of a single image."""
    return images[0][None] if len(images) == 1 else np.stack(images)
