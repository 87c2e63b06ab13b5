"""Write a dataset from a source of images, or continue an interrupted attempt."""

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.array_files import DatasetArrays, ImageChunk, encode_webp
from progan.data.format import (
    COMPRESSED_FROM,
    HOLDOUT_FILE,
    INFO_FILE,
    LABELS_FILE,
    LANDMARK_SHAPE,
    MAX_SHARD_BYTES,
    TYPICAL_COMPRESSION,
    WHOLE_SOURCE,
    DatasetInfo,
    SkippedImage,
    compute_rows_per_shard,
    read_info,
)
from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, require_readable
from progan.data.journal import (
    Journal,
    PeriodicFlush,
    hash_job,
    journal_exists,
    read_journal,
    remove_journal,
    write_journal,
)
from progan.data.pyramid import build_pyramid
from progan.data.reader import compute_holdout_size, draw_holdout_rows
from progan.errors import UserError
from progan.runtime.files import (
    clear_folder,
    remove_partials,
    require_free_space,
    staging_directory,
    write_atomically,
)
from progan.runtime.text import PrintLine, format_count, pluralize
from progan.runtime.torch_settings import keep_freed_memory
from progan.runtime.workers import map_in_order, worker_pool
from progan.sizes import level_of

_CHUNK_BYTES = 4 * 2**20  # images that one worker holds at a time: one of 1024x1024
_CHUNK_ROWS = 64
_WEBP_HEADER_BYTES = 1 << 12
JOURNAL_SECONDS = 1.0  # most work that is lost if the machine stops


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
    print_doubtful: Callable[[Sequence[SkippedImage]], None] = lambda doubtful: None,
    print_line: PrintLine = lambda line: None,
) -> DatasetInfo:
    """Write the images of `source` to the new folder `dest` and return its description.

    The same call continues an attempt that Ctrl-C, a full disk or a crash interrupted.

    Args:
        options: Options of the user, kept in `dataset.json`.
        workers: Threads or processes that read images.
        on_error: 'stop' after all images if some are unreadable, or 'skip' and list them, and
            the doubtful ones too.
        holdout: Fraction of the written images to hold out of training, in [0, 1).
        seed: Seed that draws them.
        compress: Store the levels above 128x128 as lossless WebP.
        max_shard_bytes: Largest size of an array file of a level.
        print_doubtful: Receives the images that are written though they are doubtful, if any are.
        print_line: Receives a line if an interrupted attempt is continued.

    Raises:
        UserError: The disk is full, `dest` exists, images are unreadable, none would be left to
            train on, or an attempt at another dataset was interrupted in this place.
    """
    plan = _plan_dataset(source, dest.resolve().name, options or {}, holdout, max_shard_bytes)
    plan = _plan_compression(plan) if compress else plan
    job = hash_job(plan, {"on_error": on_error, "seed": seed, "source": source.identity})
    with staging_directory(dest) as directory, _clear_unless_resumable(directory):
        journal = read_journal(directory, job, dest)
        if journal.asked and (directory / INFO_FILE).is_file():
            print_line(
                "An earlier attempt made all images; only the name of their folder was missing."
            )
            info = read_info(directory)
        else:
            arrays, journal = _open_or_restart(directory, plan, journal, print_line)
            with closing(arrays):
                missing = estimate_num_bytes(plan) * (plan.count - journal.written) / plan.count
                require_free_space(dest, math.ceil(missing), f"The dataset {dest}")
                journal = _write_remaining_images(
                    source, arrays, directory, plan, journal, workers, on_error
                )
                info = _finish_dataset_or_clear(
                    source, arrays, directory, plan, journal, holdout, seed
                )
    # Not before: a complete dataset that cannot be renamed is kept for the next attempt.
    remove_journal(dest)
    if journal.doubtful:
        print_doubtful(journal.doubtful)
    return info


@contextmanager
def _clear_unless_resumable(directory: Path) -> Iterator[None]:
    """After a failure, remove files that no journal describes: they are of no use."""
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error matters, not that of the cleaning
            if not journal_exists(directory):
                clear_folder(directory)
        raise


def _open_or_restart(
    directory: Path, plan: DatasetInfo, journal: Journal, print_line: PrintLine
) -> tuple[DatasetArrays, Journal]:
    """Open the files of an interrupted attempt, or new ones; return them with their journal.

    Only files that are missing or too short start it from the first image. Any other OSError keeps
    all files, as the disk may be readable the next time.
    """
    if not journal.asked:
        if any(directory.iterdir()):
            print_line(_describe_restart(directory))
            clear_folder(directory)  # perhaps of another dataset
        return DatasetArrays(directory, plan, 0), journal
    remove_partials(directory)
    try:
        arrays = DatasetArrays(directory, plan, journal.written)
    except (FileNotFoundError, ValueError):  # rows that the journal counts are missing
        print_line("An interrupted creation has lost images: starting with the first one.")
        clear_folder(directory)
        return DatasetArrays(directory, plan, 0), Journal(journal.job)
    print_line(
        f"Continuing an interrupted creation: {journal.asked:,} of "
        f"{format_count(plan.count, 'image')} {pluralize(journal.asked, 'is', 'are')} done."
    )
    return arrays, journal


def _describe_restart(directory: Path) -> str:
    """Return the message that the files in a folder cannot be continued, with the reason."""
    if journal_exists(directory):
        return "The journal of an interrupted creation is damaged: starting with the first image."
    return "An interrupted creation left no complete image: starting with the first one."


def _write_remaining_images(
    source: ImageSource,
    arrays: DatasetArrays,
    directory: Path,
    plan: DatasetInfo,
    journal: Journal,
    workers: int,
    on_error: OnError,
) -> Journal:
    """Write the images that the journal lacks; return its end, or clear and raise UserError."""
    kept = journal
    read_chunk = partial(_read_chunk, source.read, set(plan.webp_bytes), on_error == "skip")
    with (
        closing(PeriodicFlush(arrays, directory, JOURNAL_SECONDS)) as flusher,
        closing(_read_chunks_ahead(source, workers, journal.asked, read_chunk)) as chunks,
        tqdm(
            total=source.count, initial=journal.asked, unit="img", desc=plan.name, disable=None
        ) as progress,
    ):
        try:
            for chunk in chunks:
                journal = journal.advance(chunk.num_read, chunk.skipped, chunk.doubtful)
                progress.update(chunk.num_read)
                if journal.skipped and on_error == "stop":
                    continue  # only to find all unreadable images
                arrays.append(chunk)
                kept = journal
                flusher.flush_if_due(kept)
        except BaseException:
            flusher.flush_or_clear(kept)
            raise
    if journal.skipped and on_error == "stop":
        clear_folder(directory)
        require_readable(source.description, journal.asked, [item for _, item in journal.skipped])
    return journal


def _finish_dataset_or_clear(
    source: ImageSource,
    arrays: DatasetArrays,
    directory: Path,
    plan: DatasetInfo,
    journal: Journal,
    holdout: float,
    seed: int,
) -> DatasetInfo:
    """Write labels, held-out rows and `dataset.json`."""
    skipped = tuple(item for _, item in journal.skipped)
    if not journal.written:
        clear_folder(directory)
        remedy = " Divide the source into fewer parts." * (WHOLE_SOURCE in plan.options)
        raise UserError(
            "None of the images can be used; the first one: "
            f"{skipped[0].path}: {skipped[0].reason}.{remedy}"
        )
    written = np.delete(np.arange(source.count), [number for number, _ in journal.skipped])
    try:
        held_out = _choose_holdout_rows(source, written, holdout, seed)
    except UserError:
        clear_folder(directory)
        raise
    if source.labels is not None:
        arrays.append_to(LABELS_FILE, source.labels[written])
    arrays.append_to(HOLDOUT_FILE, held_out)
    info = replace(
        plan,
        count=written.size,
        holdout_count=held_out.size,
        rows_per_shard={
            level: min(rows, written.size) for level, rows in plan.rows_per_shard.items()
        },
        skipped=source.skipped + skipped,
        webp_bytes=arrays.count_webp_bytes(),
    )
    info = replace(info, checksums=arrays.close_and_hash(info))
    write_journal(directory, journal)
    write_atomically(directory / INFO_FILE, info.to_json())
    return info


def _plan_dataset(
    source: ImageSource, name: str, options: Mapping[str, Any], holdout: float, max_shard_bytes: int
) -> DatasetInfo:
    """Describe the dataset as if every image could be read; UserError without images."""
    if source.count < 1:
        raise UserError(f"No images left to write from {source.description}.")
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
        holdout_count=_choose_holdout_rows(source, np.arange(source.count), holdout, 0).size,
        source=source.description,
        options=options,
        skipped=source.skipped,
    )


def _plan_compression(plan: DatasetInfo) -> DatasetInfo:
    """Plan compressed levels with an upper bound of their size."""

    def bound(level: int) -> int:
        num_values = plan.size(level).pixels * plan.channels
        return plan.count * (5 * num_values // 4 + _WEBP_HEADER_BYTES)

    levels = [level for level in plan.levels if level >= COMPRESSED_FROM]
    return replace(plan, webp_bytes={level: bound(level) for level in levels})


def estimate_num_bytes(plan: DatasetInfo) -> int:
    """Estimate the size of all array files; exact where no level is compressed."""
    compressed = {plan.list_level_files(level)[0].name for level in plan.webp_bytes}
    exact = sum(file.num_bytes for file in plan.list_array_files() if file.name not in compressed)
    raw = sum(plan.count * plan.size(level).pixels * plan.channels for level in plan.webp_bytes)
    return exact + raw // TYPICAL_COMPRESSION


def _choose_holdout_rows(
    source: ImageSource, written: npt.NDArray[np.int64], holdout: float, seed: int
) -> npt.NDArray[np.int64]:
    """Return the source's own held-out rows if --holdout is 0, else rows drawn with `seed`."""
    if source.held_out is not None and not holdout:
        return np.flatnonzero(np.isin(written, source.held_out)).astype(np.int64)
    return draw_holdout_rows(compute_holdout_size(holdout, written.size), written.size, seed)


def _read_chunks_ahead(
    source: ImageSource, workers: int, first: int, read_chunk: Callable[[range], ImageChunk]
) -> Generator[ImageChunk]:
    """Yield the images from number `first` on in order; workers read some chunks ahead."""
    # Enough images in a chunk to outweigh its hand-over, few enough to share the work evenly.
    fitting = _CHUNK_BYTES // (source.size.pixels * source.channels)
    size = max(1, min(_CHUNK_ROWS, fitting, source.count // (4 * workers)))
    starts = range(first, source.count, size)
    chunks = (range(start, min(start + size, source.count)) for start in starts)
    keep_freed_memory()
    with worker_pool(workers, in_processes=source.in_processes) as pool:
        yield from map_in_order(pool, read_chunk, chunks, ahead=2 * workers)


def _read_chunk(
    read: Callable[[int], Sample], compressed: set[int], skip_doubtful: bool, rows: range
) -> ImageChunk:
    """Read a range of images, downsample them, and compress the levels `compressed`."""
    samples, skipped = [], []
    for row in rows:
        try:
            sample = read(row)
        except UnreadableImage as error:
            skipped.append((row, SkippedImage(error.path, error.reason)))
            continue
        if sample.doubt is not None and skip_doubtful:
            skipped.append((row, sample.doubt))
        else:
            samples.append(sample)
    levels = _make_levels(samples) if samples else {}
    webp = {
        level: [encode_webp(image) for image in levels.pop(level)]
        for level in compressed & set(levels)
    }
    points = [item.landmarks for item in samples if item.landmarks is not None]
    return ImageChunk(
        num_read=len(rows),
        levels=levels,
        webp=webp,
        landmarks=np.array(points, dtype=np.float32).reshape(-1, *LANDMARK_SHAPE),
        skipped=tuple(skipped),
        doubtful=tuple(item.doubt for item in samples if item.doubt is not None),
    )


def _make_levels(samples: Sequence[Sample]) -> dict[int, npt.NDArray[np.uint8]]:
    """Return all levels of the samples, {level: [n,h,w,C]}."""
    images = _stack_images([item.image for item in samples])
    if not samples[0].smaller:
        return build_pyramid(images)
    smaller = {
        level: _stack_images([item.smaller[level] for item in samples])
        for level in samples[0].smaller
    }
    return {level_of(min(images.shape[1:3])): images, **smaller}


def _stack_images(images: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    """Stack images to [n,h,w,C]; a single one is not copied."""
    return images[0][None] if len(images) == 1 else np.stack(images)
