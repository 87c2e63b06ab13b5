"""Append images to .npy files row by row, in shards, hashing on the way."""

import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.format import HEADER_BYTES, ArrayFile
from progan.runtime.files import named_errors, sha256_of

_BLOCK_BYTES = 1 << 22  # read at once
_BUFFER_BYTES = 1 << 18  # of small rows, collected; larger ones go to the file without a copy


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first 128 bytes of a .npy file (version 1.0, row-major)."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape})
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
            self._write(npy_header(planned.shape, planned.dtype))

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
                self._file.write(npy_header((self.num_rows, *self.planned.shape[1:]),
                                            self.planned.dtype))
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
        return {file.name: writer.finish(file.name)
                for file, writer in zip(final, self._writers, strict=True)}

    def flush(self) -> None:
        """Wait until the disk has all rows; full files have been waited for already."""
        writers = self._writers[self._flushed:]  # others may begin meanwhile
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

    def __init__(
        self, directory: Path, planned: tuple[ArrayFile, ...], num_rows: int = 0
    ) -> None:
        data, offsets = planned
        kept = np.load(directory / offsets.name, mmap_mode="r")[:num_rows + 1] if num_rows else [0]
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
        return {file.name: writer.finish(file.name)
                for file, writer in zip(final, (self._data, self._offsets), strict=True)}

    def flush(self) -> None:
        """Wait until the disk has all images."""
        self._data.flush()
        self._offsets.flush()

    def close(self) -> None:
        self._data.close()
        self._offsets.close()
