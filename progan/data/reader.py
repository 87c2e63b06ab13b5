"""Read a dataset: any row of any level through memory maps; compare files with their checksums."""

import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.data.array_files import decode_webp_files
from progan.data.format import (
    HOLDOUT_FILE,
    LABELS_FILE,
    LANDMARKS_FILE,
    DatasetInfo,
    describe_size_fault,
    read_info,
    require_array_files,
)
from progan.errors import UserError
from progan.invocation import command_line
from progan.runtime.files import sha256_of
from progan.sizes import level_name

Rows = npt.NDArray[np.int64]
# NumPy parses the header of a file as Python. CPython 3.11's parser counts its depth for threads
# together, and now and then raises SystemError if two of them parse at once.
_OPENING = threading.Lock()


class Dataset:
    """A dataset on disk, opened read-only; cheap to open, to copy and to send to workers.

    Attributes:
        path: Its folder.
        info: What `dataset.json` says.
    """

    def __init__(self, path: Path, info: DatasetInfo) -> None:
        self.path = path
        self.info = info
        self._maps: dict[str, npt.NDArray[np.generic]] = {}

    @classmethod
    def open(cls, path: str | Path) -> "Dataset":
        """Open the dataset in the folder `path`; raises UserError if there is no whole one."""
        path = Path(path)
        info = read_info(path)
        require_array_files(path, info)
        return cls(path, info)

    def __reduce__(self) -> Any:
        # A pickled memory map would carry all its pixels; another process maps the files anew.
        return Dataset, (self.path, self.info)

    def __len__(self) -> int:
        return self.info.count

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def resolution(self) -> int:
        return self.info.resolution

    @property
    def channels(self) -> int:
        return self.info.channels

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.info.label_names

    @property
    def label_size(self) -> int:
        """Number of classes; 0 without labels."""
        return len(self.info.label_names)

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell this content from any other."""
        return self.info.fingerprint

    @cached_property
    def held_out_rows(self) -> Rows:
        """Rows that training leaves out: int64 [n], ascending; UserError if they are damaged."""
        if not self.info.holdout_count:
            return np.empty(0, dtype=np.int64)
        rows = self._map(HOLDOUT_FILE).astype(np.int64, copy=False)
        if rows[0] < 0 or rows[-1] >= len(self) or (rows[1:] <= rows[:-1]).any():
            raise UserError(
                f"{self.path / HOLDOUT_FILE} is damaged: it does not hold ascending "
                f"numbers from 0 to {len(self) - 1}. Copy the dataset again, or make "
                f"it again with {command_line('dataset')}."
            )
        return rows

    @cached_property
    def training_rows(self) -> Rows:
        """Rows to train on, all that are not held out: int64 [count - n], ascending."""
        rows = np.delete(np.arange(len(self), dtype=np.int64), self.held_out_rows)
        rows.flags.writeable = False  # all who ask share it
        return rows

    @cached_property
    def untrained_classes(self) -> tuple[int, ...]:
        """Classes that no image to train on has, ascending; () without labels."""
        if not self.label_size:
            return ()
        counts = np.bincount(self.labels(self.training_rows), minlength=self.label_size)
        return tuple(np.flatnonzero(counts == 0).tolist())

    def level_named(self, resolution: int | None) -> int:
        """The level that --resolution names, the top one if None; UserError if there is none."""
        levels = {1 << level: level for level in self.info.levels}
        resolution = self.resolution if resolution is None else resolution
        if resolution not in levels:
            names = [level_name(self.info.base, level) for level in self.info.levels]
            raise UserError(
                f"{self.path} has no level of resolution {resolution}; --resolution "
                f"is one of {', '.join(names)}."
            )
        return levels[resolution]

    def images(self, level: int, rows: Rows) -> npt.NDArray[np.uint8]:
        """Return images at a level: rows [n] from 0 to count - 1 -> uint8 [n,H,W,C].

        Rows may repeat and come in any order; IndexError if one is outside.
        """
        rows = self._inside(rows)
        if level in self.info.webp_bytes:
            return self._decoded(level, rows)
        files, per_shard = self.info.level_files(level), self.info.rows_per_shard[level]
        if len(files) == 1:
            return self._map(files[0].name)[rows].astype(np.uint8, copy=False)
        images = np.empty((len(rows), *files[0].shape[1:]), dtype=np.uint8)
        shards = rows // per_shard
        for shard in np.unique(shards):
            places = shards == shard
            images[places] = self._map(files[shard].name)[rows[places] - shard * per_shard]
        return images

    def _decoded(self, level: int, rows: Rows) -> npt.NDArray[np.uint8]:
        images = np.empty((len(rows), *self.info.size(level), self.channels), dtype=np.uint8)
        try:
            for place, image in enumerate(
                decode_webp_files(self.encoded(level, rows), self.channels)
            ):
                images[place] = image
        except (OSError, ValueError) as error:
            raise UserError(
                f"Compressed images of {self.path} are damaged ({error}). "
                f"{command_line('dataset', 'verify', self.path)} tells which files."
            ) from error
        return images

    def encoded(self, level: int, rows: Rows) -> list[bytes]:
        """Return images of a compressed level as they are stored: rows [n] -> n WebP files."""
        rows = self._inside(rows)
        files = self.info.level_files(level)
        data, offsets = (self._map(file.name) for file in files)
        return [data[offsets[row] : offsets[row + 1]].tobytes() for row in rows]

    def labels(self, rows: Rows) -> npt.NDArray[np.int64]:
        """Return class indices: rows [n] -> int64 [n]; ValueError without labels."""
        if not self.label_size:
            raise ValueError(f"{self.path} has no labels")
        return self._map(LABELS_FILE)[self._inside(rows)].astype(np.int64)

    def landmarks(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Return five points in pixels of the top level: rows [n] -> float32 [n,5,2]."""
        if not self.info.has_landmarks:
            raise ValueError(f"{self.path} has no landmarks")
        return self._map(LANDMARKS_FILE)[self._inside(rows)].astype(np.float32, copy=False)

    def _inside(self, rows: Rows) -> Rows:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of {len(self)} images")
        return rows

    def _map(self, name: str) -> npt.NDArray[np.generic]:
        if name not in self._maps:
            with _OPENING:
                # A plain array over the map: np.memmap makes every slice several times slower.
                self._maps[name] = np.load(self.path / name, mmap_mode="r").view(np.ndarray)
        return self._maps[name]


def find_damaged_files(directory: Path, info: DatasetInfo) -> list[str]:
    """Read every array file; return one sentence for each that is not what was written."""
    faults = []
    with tqdm(
        total=info.num_bytes, unit="B", unit_scale=True, desc="verifying", disable=None, leave=False
    ) as progress:
        for file in info.array_files():
            fault = describe_size_fault(directory, file)
            if not fault and sha256_of(directory / file.name) != info.checksums.get(file.name):
                fault = f"{file.name} has other content than when it was written"
            faults += [fault] * bool(fault)
            progress.update(file.num_bytes)
    return faults
