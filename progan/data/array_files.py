"""All array files of a dataset in the making: rows appended in shards, hashed, raw or as WebP.

Of the codecs that Pillow has, WebP in its fastest setting makes the smallest files at the least
cost (docs/log.md).
"""

import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from progan.data.format import (
    HEADER_BYTES,
    HOLDOUT_FILE,
    LABELS_FILE,
    LANDMARKS_FILE,
    ArrayFile,
    DatasetInfo,
    SkippedImage,
)
from progan.runtime.files import named_errors, sha256_of

Pixels = npt.NDArray[np.uint8]
_BLOCK_BYTES = 1 << 22  # read at once
_BUFFER_BYTES = 1 << 18  # of small rows, collected; larger ones go to the file without a copy


def encode_webp(image: Pixels) -> bytes:
    """[H, W, C] with C of 1, 3 or 4 -> the bytes of a WebP file."""
    pixels = image.repeat(3, axis=2) if image.shape[2] == 1 else image  # WebP knows no grey
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "webp", lossless=True, method=0, quality=0, exact=True)
    return stream.getvalue()


def decode_webp(data: bytes, channels: int) -> Pixels:
    """The bytes of a WebP file -> [H, W, C]; whatever Pillow raises for damaged ones."""
    with Image.open(io.BytesIO(data), formats=["webp"]) as picture:
        # WebP drops an opacity that is full everywhere.
        return np.asarray(picture.convert("RGBA" if channels == 4 else "RGB"))[:, :, :channels]


def decode_webp_files(files: Sequence[bytes], channels: int) -> list[Pixels]:
    """Decode several files, side by side."""
    workers = min(len(files), os.cpu_count() or 1)
    if workers < 2:
        return [decode_webp(data, channels) for data in files]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(decode_webp, files, [channels] * len(files)))


def make_npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first 128 bytes of a .npy file (version 1.0, row-major)."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    header = stream.getvalue()
    assert len(header) == HEADER_BYTES, (len(header), shape)
    return header


class RowWriter:
    """Writes one array file, row after row.

    Args:
        num_rows: How many rows of an interrupted attempt to keep; ValueError if the file does not
            have them.
    """

    def __init__(self, directory: Path, planned: ArrayFile, num_rows: int = 0) -> None:
        self.planned = planned
        self.num_rows = num_rows
        self._path = directory / planned.name
        self._digest = hashlib.sha256()
        self._file = self._path.open("r+b" if num_rows else "wb", buffering=_BUFFER_BYTES)
        if num_rows:
            self._keep(planned.bytes_of(num_rows))
        else:
            self._write(make_npy_header(planned.shape, planned.dtype))

    @property
    def num_free(self) -> int:
        """Rows that the file still takes."""
        return self.planned.shape[0] - self.num_rows

    def append(self, rows: npt.NDArray[np.generic]) -> None:
        """Write rows, [n, …] with n <= num_free."""
        assert len(rows) <= self.num_free and rows.shape[1:] == self.planned.shape[1:], rows.shape
        self._write(np.ascontiguousarray(rows, dtype=self.planned.dtype).data.cast("B"))
        self.num_rows += len(rows)

    def finish(self, name: str) -> str:
        """Close the file under its final name; return its SHA-256."""
        digest = self._digest.hexdigest()
        if self.num_free:  # fewer rows than planned: the header and so the hash are others
            with named_errors(self._path):
                self._file.seek(0)
                self._file.write(
                    make_npy_header((self.num_rows, *self.planned.shape[1:]), self.planned.dtype)
                )
                self._file.flush()
            digest = sha256_of(self._path)
        self.flush()
        self.close()
        self._path.rename(self._path.with_name(name))
        return digest

    def flush(self) -> None:
        """Wait until the disk has all rows."""
        if not self._file.closed:
            with named_errors(self._path):
                self._file.flush()
                os.fsync(self._file.fileno())

    def close(self) -> None:
        with suppress(OSError):  # finish() has flushed all; after a failure, that one is told
            self._file.close()

    def _keep(self, num_bytes: int) -> None:
        left = num_bytes
        while left and (block := self._file.read(min(left, _BLOCK_BYTES))):
            self._digest.update(block)
            left -= len(block)
        if left:
            raise ValueError(f"{self._path} is {left} bytes short")
        self._file.seek(num_bytes)
        self._file.truncate()

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        with named_errors(self._path):
            self._file.write(data)


class ShardWriter:
    """Writes rows across the files of one array in turn.

    Args:
        num_rows: How many rows of an interrupted attempt to keep.
    """

    def __init__(self, directory: Path, planned: tuple[ArrayFile, ...], num_rows: int = 0) -> None:
        self._directory = directory
        self._waiting = list(planned)
        self._writers: list[RowWriter] = []
        self._flushed = 0  # writers that are full and on disk
        while num_rows:
            file = self._waiting.pop(0)
            kept = min(num_rows, file.shape[0])
            self._writers.append(RowWriter(directory, file, kept))
            num_rows -= kept

    def append(self, rows: npt.NDArray[np.generic]) -> None:
        """Write rows, [n, …]; those that the open file does not take go to the next ones."""
        while len(rows):
            if not self._writers or not self._writers[-1].num_free:
                self._writers.append(RowWriter(self._directory, self._waiting.pop(0)))
            taken = self._writers[-1].num_free
            self._writers[-1].append(rows[:taken])
            rows = rows[taken:]

    def finish(self, final: tuple[ArrayFile, ...]) -> dict[str, str]:
        """Close the files under their final names; return name -> SHA-256."""
        return {
            file.name: writer.finish(file.name)
            for file, writer in zip(final, self._writers, strict=True)
        }

    def flush(self) -> None:
        """Wait until the disk has all rows; full files have been waited for already."""
        writers = self._writers[self._flushed :]  # others may begin meanwhile
        for writer in writers:
            writer.flush()
        self._flushed += max(len(writers) - 1, 0)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class WebpWriter:
    """Writes images of any length one after the other, and where each begins.

    Args:
        planned: An array of bytes, long enough for all, and one of the numbers of bytes before
            each image, and at last of all.
        num_rows: How many images of an interrupted attempt to keep.
    """

    def __init__(self, directory: Path, planned: tuple[ArrayFile, ...], num_rows: int = 0) -> None:
        data, offsets = planned
        kept = np.load(directory / offsets.name, mmap_mode="r")[: num_rows + 1] if num_rows else [0]
        self.num_bytes = int(kept[-1])
        self._data = RowWriter(directory, data, self.num_bytes)
        self._offsets = RowWriter(directory, offsets, num_rows + 1 if num_rows else 0)
        if not num_rows:
            self._offsets.append(np.zeros(1, np.int64))

    def append(self, files: Sequence[bytes]) -> None:
        """Write the bytes of some images."""
        ends = self.num_bytes + np.cumsum([len(file) for file in files])
        self._data.append(np.frombuffer(b"".join(files), np.uint8))
        self._offsets.append(ends)
        self.num_bytes = int(ends[-1])

    def finish(self, final: tuple[ArrayFile, ...]) -> dict[str, str]:
        """Close both files under their final names; return name -> SHA-256."""
        return {
            file.name: writer.finish(file.name)
            for file, writer in zip(final, (self._data, self._offsets), strict=True)
        }

    def flush(self) -> None:
        """Wait until the disk has all images."""
        self._data.flush()
        self._offsets.flush()

    def close(self) -> None:
        self._data.close()
        self._offsets.close()


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """What became of a range of images."""

    num_asked: int
    levels: Mapping[int, npt.NDArray[np.uint8]]  # {level: [n,h,w,C]}, empty if n is 0
    webp: Mapping[int, Sequence[bytes]]  # the same of compressed levels, n files each
    landmarks: npt.NDArray[np.float32]  # [n,5,2], or [0,5,2] without landmarks
    skipped: tuple[tuple[int, SkippedImage], ...]  # by their numbers
    doubtful: tuple[SkippedImage, ...] = ()  # those that are there and had better not be


class DatasetArrays:
    """All array files of a dataset in the making.

    Args:
        num_rows: Rows of an interrupted attempt to keep; ValueError or OSError if they are not
            there.
    """

    def __init__(self, directory: Path, plan: DatasetInfo, num_rows: int) -> None:
        others = {file.name: (file,) for file in plan.array_files()}
        landmarks = others.get(LANDMARKS_FILE, ())
        self.levels = {
            level: ShardWriter(directory, plan.level_files(level), num_rows)
            for level in plan.levels
            if level not in plan.webp_bytes
        }
        self.webp = {
            level: WebpWriter(directory, plan.level_files(level), num_rows)
            for level in plan.webp_bytes
        }
        self.labels = ShardWriter(directory, others.get(LABELS_FILE, ()))
        self.landmarks = ShardWriter(directory, landmarks, num_rows if landmarks else 0)
        self.holdout = ShardWriter(directory, others.get(HOLDOUT_FILE, ()))
        self._beside = ThreadPoolExecutor(1)

    def append(self, chunk: ImageChunk) -> None:
        """Write the images of a chunk: the largest level beside the others, three times as much."""
        largest = max(chunk.levels, default=None)
        jobs = (
            []
            if largest is None
            else [self._beside.submit(self.levels[largest].append, chunk.levels[largest])]
        )
        try:
            for level, images in chunk.levels.items():
                if level != largest:
                    self.levels[level].append(images)
            for level, files in chunk.webp.items():
                self.webp[level].append(files)
            self.landmarks.append(chunk.landmarks)
        finally:
            for job in jobs:
                job.result()

    def flush(self) -> None:
        """Wait until the disk has all rows."""
        for writer in self._all():
            writer.flush()

    def webp_bytes(self) -> dict[int, int]:
        """How many bytes the images of each compressed level take so far."""
        return {level: writer.num_bytes for level, writer in self.webp.items()}

    def finish(self, info: DatasetInfo) -> dict[str, str]:
        """Close all files under the names that `info` gives them; return name -> SHA-256."""
        others = {file.name: (file,) for file in info.array_files()}
        checksums = self.labels.finish(others.get(LABELS_FILE, ()))
        checksums |= self.landmarks.finish(others.get(LANDMARKS_FILE, ()))
        checksums |= self.holdout.finish(others.get(HOLDOUT_FILE, ()))
        for level, writer in self.levels.items():
            checksums |= writer.finish(info.level_files(level))
        for level, webp in self.webp.items():
            checksums |= webp.finish(info.level_files(level))
        return dict(sorted(checksums.items()))

    def close(self) -> None:
        self._beside.shutdown()
        for writer in self._all():
            writer.close()

    def _all(self) -> Iterator[ShardWriter | WebpWriter]:
        yield from self.levels.values()
        yield from self.webp.values()
        yield from (self.labels, self.landmarks, self.holdout)
