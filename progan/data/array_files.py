"""Write the array files of a dataset: rows appended in shards, hashed, raw or as lossless WebP.

WebP in its fastest setting makes the smallest files at the least cost among Pillow's codecs
(docs/log.md).
"""

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

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
from progan.runtime.files import hash_file_sha256, name_file_in_errors

Pixels = npt.NDArray[np.uint8]
_BLOCK_BYTES = 1 << 22  # read at once
_BUFFER_BYTES = 1 << 18  # small rows are collected; larger ones go to the file without a copy


def encode_webp(image: Pixels) -> bytes:
    """Encode an image as lossless WebP: [H, W, C] with 1, 3 or 4 channels -> bytes."""
    pixels = image.repeat(3, axis=2) if image.shape[2] == 1 else image  # WebP has no grey
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "webp", lossless=True, method=0, quality=0, exact=True)
    return stream.getvalue()


def decode_webp(data: bytes, channels: int) -> Pixels:
    """Decode a WebP file to [H, W, C]; raises OSError or ValueError if it is damaged."""
    with Image.open(io.BytesIO(data), formats=["webp"]) as image:
        # WebP drops an alpha channel that is opaque everywhere.
        return np.asarray(image.convert("RGBA" if channels == 4 else "RGB"))[:, :, :channels]


def decode_webp_files(files: Sequence[bytes], channels: int) -> list[Pixels]:
    """Decode several WebP files in parallel threads."""
    workers = min(len(files), os.cpu_count() or 1)
    if workers < 2:
        return [decode_webp(data, channels) for data in files]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(decode_webp, files, [channels] * len(files)))


def make_npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """Return the first 128 bytes of a .npy file (version 1.0, row-major)."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    header = stream.getvalue()
    assert len(header) == HEADER_BYTES, (len(header), shape)
    return header


class _HashedFile(NamedTuple):
    path: Path
    file: BinaryIO
    digest: "hashlib._Hash"


class ArrayWriter:
    """Append rows to the files of one array, in turn, and hash them.

    Args:
        planned: The files in their order; each is created when rows reach it.
        num_rows: Rows of an interrupted attempt to keep; FileNotFoundError or ValueError if they
            are missing.
    """

    def __init__(self, directory: Path, planned: Sequence[ArrayFile], num_rows: int = 0) -> None:
        self.num_rows = self._capacity = 0  # rows written, and rows of the files opened so far
        self._directory, self._planned = directory, planned
        self._files: list[_HashedFile] = []
        self._num_flushed = 0  # full files that are on disk
        try:
            while self.num_rows < num_rows:
                self._open_next(num_rows - self.num_rows)
        except BaseException:
            self.close()
            raise

    def append(self, rows: npt.NDArray[np.generic]) -> None:
        """Write rows, [n, …]; those that the open file has no space for go to the next files."""
        while len(rows):
            num_free = self._capacity - self.num_rows
            if num_free:
                part, planned = rows[:num_free], self._planned[len(self._files) - 1]
                assert part.shape[1:] == planned.shape[1:], part.shape
                self._write(np.ascontiguousarray(part, dtype=planned.dtype).data.cast("B"))
                self.num_rows += len(part)
                rows = rows[num_free:]
            else:
                self._open_next(0)

    def close_and_hash(self, final: Sequence[ArrayFile]) -> dict[str, str]:
        """Close the files under their final names and shapes; return name -> SHA-256."""
        checksums = {}
        for planned, wanted, (path, file, digest) in zip(
            self._planned, final, self._files, strict=False
        ):
            checksums[wanted.name] = digest.hexdigest()
            with name_file_in_errors(path):
                if wanted.shape != planned.shape:  # fewer rows: another header, so another hash
                    file.seek(0)
                    file.write(make_npy_header(wanted.shape, wanted.dtype))
                    file.flush()
                    checksums[wanted.name] = hash_file_sha256(path)
                file.flush()
                os.fsync(file.fileno())
                file.close()
            path.rename(path.with_name(wanted.name))
        assert len(checksums) == len(final) == len(self._files), (final, self._files)
        return checksums

    def flush(self) -> None:
        """Wait until the disk has all rows; full files are flushed once only."""
        files = self._files[self._num_flushed :]  # another thread may open more meanwhile
        for path, file, _ in files:
            with name_file_in_errors(path):
                file.flush()
                os.fsync(file.fileno())
        self._num_flushed += max(len(files) - 1, 0)

    def close(self) -> None:
        """Close all files; after a failure, that one is reported rather than those of closing."""
        for _, file, _ in self._files:
            with suppress(OSError):
                file.close()

    def _open_next(self, num_kept: int) -> None:
        """Open the next file: a new one, or with up to `num_kept` rows that it has."""
        planned = self._planned[len(self._files)]
        path, kept = self._directory / planned.name, min(num_kept, planned.shape[0])
        file = path.open("r+b" if kept else "wb", buffering=_BUFFER_BYTES)
        self._files.append(_HashedFile(path, file, hashlib.sha256()))
        self._capacity += planned.shape[0]
        if not kept:
            self._write(make_npy_header(planned.shape, planned.dtype))
            return
        num_bytes = left = planned.count_bytes_of_rows(kept)
        while left and (block := file.read(min(left, _BLOCK_BYTES))):
            self._files[-1].digest.update(block)
            left -= len(block)
        if left:
            raise ValueError(f"{path} is {left} bytes short")
        file.seek(num_bytes)
        file.truncate()
        self.num_rows += kept

    def _write(self, data: bytes | memoryview) -> None:
        path, file, digest = self._files[-1]
        digest.update(data)
        with name_file_in_errors(path):
            file.write(data)


@dataclass(frozen=True, slots=True)
class ImageChunk:
    """Results of reading a range of images: pixels to write, and skipped images."""

    num_read: int  # written, or skipped
    levels: Mapping[int, npt.NDArray[np.uint8]]  # {level: [n,h,w,C]}, empty if n is 0
    webp: Mapping[int, Sequence[bytes]]  # the same for compressed levels, n files each
    landmarks: npt.NDArray[np.float32]  # [n,5,2], or [0,5,2] without landmarks
    skipped: tuple[tuple[int, SkippedImage], ...]  # by their numbers
    doubtful: tuple[SkippedImage, ...] = ()  # written, but suspicious


class DatasetArrays:
    """Write all array files of a dataset.

    Args:
        num_rows: Rows of an interrupted attempt to keep; FileNotFoundError or ValueError if they
            are missing.
    """

    def __init__(self, directory: Path, plan: DatasetInfo, num_rows: int) -> None:
        self._names: dict[str, ArrayWriter] = {}  # arrays of a single file, by its name
        self._levels: dict[int, ArrayWriter] = {}
        self._webp: dict[int, tuple[ArrayWriter, ArrayWriter]] = {}  # bytes, and offsets in them
        self._writers: list[ArrayWriter] = []  # all of them
        self._thread = ThreadPoolExecutor(1)
        try:
            self._open_all(directory, plan, num_rows)
        except BaseException:
            self.close()
            raise

    def _open_all(self, directory: Path, plan: DatasetInfo, num_rows: int) -> None:
        """Open a writer for each array of the plan."""
        files = {file.name: file for file in plan.list_array_files()}
        for name in {LABELS_FILE, LANDMARKS_FILE, HOLDOUT_FILE} & set(files):
            kept = num_rows if name == LANDMARKS_FILE else 0  # the others are written at the end
            self._names[name] = self._open(directory, [files[name]], kept)
        for level in plan.levels:
            planned = plan.list_level_files(level)
            if level not in plan.webp_bytes:
                self._levels[level] = self._open(directory, planned, num_rows)
                continue
            data, offsets = planned
            num_bytes = _read_offset(directory / offsets.name, num_rows) if num_rows else 0
            self._webp[level] = (
                self._open(directory, [data], num_bytes),
                self._open(directory, [offsets], num_rows + 1 if num_rows else 0),
            )
            if not num_rows:
                self._webp[level][1].append(np.zeros(1, np.int64))

    def _open(self, directory: Path, planned: Sequence[ArrayFile], num_rows: int) -> ArrayWriter:
        self._writers.append(ArrayWriter(directory, planned, num_rows))
        return self._writers[-1]

    def append(self, chunk: ImageChunk) -> None:
        """Write the images of a chunk, its largest level in a thread beside the others."""
        largest = max(chunk.levels, default=None)
        if largest is not None:
            job = self._thread.submit(self._levels[largest].append, chunk.levels[largest])
        try:
            for level, images in chunk.levels.items():
                if level != largest:
                    self._levels[level].append(images)
            for level, encoded in chunk.webp.items():
                data, offsets = self._webp[level]
                ends = data.num_rows + np.cumsum([len(file) for file in encoded], dtype=np.int64)
                data.append(np.frombuffer(b"".join(encoded), np.uint8))
                offsets.append(ends)
            self.append_to(LANDMARKS_FILE, chunk.landmarks)
        finally:
            if largest is not None:
                job.result()

    def append_to(self, name: str, rows: npt.NDArray[np.generic]) -> None:
        """Append rows to the file of labels, landmarks or held-out rows, if there are any."""
        if len(rows):
            self._names[name].append(rows)

    def flush(self) -> None:
        """Wait until the disk has all rows."""
        for writer in self._writers:
            writer.flush()

    def count_webp_bytes(self) -> dict[int, int]:
        """Return the bytes that the images of each compressed level take so far."""
        return {level: data.num_rows for level, (data, _) in self._webp.items()}

    def close_and_hash(self, info: DatasetInfo) -> dict[str, str]:
        """Close all files under the names that `info` gives them; return name -> SHA-256."""
        files = {file.name: file for file in info.list_array_files()}
        checksums: dict[str, str] = {}
        for name, writer in self._names.items():
            checksums |= writer.close_and_hash([files[name]] if name in files else [])
        for level, writer in self._levels.items():
            checksums |= writer.close_and_hash(info.list_level_files(level))
        for level, writers in self._webp.items():
            for writer, file in zip(writers, info.list_level_files(level), strict=True):
                checksums |= writer.close_and_hash([file])
        return dict(sorted(checksums.items()))

    def close(self) -> None:
        self._thread.shutdown()
        for writer in self._writers:
            writer.close()


def _read_offset(path: Path, row: int) -> int:
    """Read number `row` of a file of offsets; ValueError if the file is shorter."""
    with path.open("rb") as file:  # np.fromfile takes a failing read for the end of the file
        file.seek(HEADER_BYTES + 8 * row)
        found = file.read(8)
    if len(found) < 8:
        raise ValueError(f"{path} is too short")
    return int.from_bytes(found, "little", signed=True)
