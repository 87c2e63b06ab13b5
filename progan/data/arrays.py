"""Append images to .npy files row by row, in shards, hashing on the way."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.format import HEADER_BYTES, ArrayFile

_BLOCK_BYTES = 1 << 22


def npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    """The first 128 bytes of a .npy file (version 1.0, row-major)."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    header = stream.getvalue()
    assert len(header) == HEADER_BYTES, (len(header), shape)
    return header


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


class RowWriter:
    """Writes one array file, row after row."""

    def __init__(self, directory: Path, planned: ArrayFile) -> None:
        self.planned = planned
        self.num_rows = 0
        self._path = directory / planned.name
        self._digest = hashlib.sha256()
        self._file = self._path.open("wb", buffering=_BLOCK_BYTES)
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
            self._file.seek(0)
            self._file.write(npy_header((self.num_rows, *self.planned.shape[1:]),
                                        self.planned.dtype))
            self._file.flush()
            digest = sha256_of(self._path)
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        self._path.rename(self._path.with_name(name))
        return digest

    def close(self) -> None:
        self._file.close()

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        self._file.write(data)


class ShardWriter:
    """Writes rows across the files of one array in turn."""

    def __init__(self, directory: Path, planned: tuple[ArrayFile, ...]) -> None:
        self._directory = directory
        self._waiting = list(planned)
        self._writers: list[RowWriter] = []

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

    def close(self) -> None:
        for writer in self._writers:
            writer.close()
