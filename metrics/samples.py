"""The images that one measurement is made from, and a cache of their statistics."""

import hashlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from progan.images import Pixels
from progan.runtime.files import atomic_path, require_free_space
from progan.runtime.text import format_count
from progan.runtime.torch_settings import open_single_threaded_pool
from progan.runtime.workers import map_in_order
from progan.runtime.zip_files import DAMAGED_ZIP

CACHE_FOLDER = "metrics-cache"  # in the dataset's own folder
CACHE_VERSION = 2  # to be raised when a metric gives other values, so that none is stale
Arrays = Mapping[str, npt.NDArray[np.generic]]
T = TypeVar("T")
R = TypeVar("R")
Rows = npt.NDArray[np.int64]
PIXELS_PER_BATCH = 2**18  # 64 images of 64x64: what the caches of a CPU hold
PIXELS_PER_GPU_BATCH = 2**22
MAX_BATCH = 256


@dataclass(frozen=True, slots=True)
class Cache:
    """Cache of statistics: arrays by name, one file for each.

    Attributes:
        folder: None: nothing is cached.
        content: Fingerprint of the dataset that the arrays are computed from.
    """

    folder: Path | None
    content: str = ""

    def get(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return the cached arrays of a name, or compute and store them.

        Damaged files are recomputed, with a warning. Nothing is stored in a read-only folder.
        """
        if self.folder is None:
            return compute()
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        path = self.folder / f"{self.content}-{digest}.npz"
        stored = _read_cached(path)
        if stored is None:
            stored = compute()
            _write_cached(path, stored)
        return stored


NO_CACHE = Cache(None)


def _read_cached(path: Path) -> Arrays | None:
    """Read the arrays of a file; None if it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}  # with checksums
    except FileNotFoundError:
        return None
    except (OSError, AttributeError, *DAMAGED_ZIP) as error:
        tqdm.write(f"{path} is damaged ({error}); it is recomputed.", sys.stderr)
        return None


def _write_cached(path: Path, arrays: Arrays) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    except OSError:  # a read-only dataset or a full disk: it only takes longer next time
        return


class ImageShape(NamedTuple):
    """Height and width in px, and channels; as text with the width first: '192x128x3'."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}x{self.channels}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSample:
    """Images in a fixed order.

    Attributes:
        description: Their path, for the progress bar.
        rows: Their numbers in their source, [count].
        read: Numbers [n] -> uint8 [n, H, W, C].
        cache: Cache of their statistics.
    """

    description: str
    rows: Rows
    size: ImageShape
    read: Callable[[Rows], Pixels]
    cache: Cache = NO_CACHE

    @property
    def count(self) -> int:
        return len(self.rows)

    def first(self, count: int) -> "ImageSample":
        """Return the first images of this sample."""
        return replace(self, rows=self.rows[:count])

    def batches(self, device: torch.device, what: str) -> Iterator[Tensor]:
        """Yield all images in order: uint8 [n, C, H, W]; n is even but for the last.

        Args:
            what: The operation, for the progress bar.
        """
        with tqdm(
            total=self.count,
            desc=f"{what}: {self.description}",
            unit="img",
            disable=None,
            leave=False,
        ) as progress:
            for rows in split_batches(self.rows, self.size, device):
                pixels = torch.from_numpy(self.read(rows)).to(device)
                yield pixels.permute(0, 3, 1, 2).contiguous()
                progress.update(len(rows))

    def get_or_compute(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """Return statistics of these images by name, from the cache or computed."""
        rows = self.rows.tolist()
        return self.cache.get(f"{CACHE_VERSION} {name} of {self.size} {rows}", compute)


def split_batches(rows: Rows, size: ImageShape, device: torch.device) -> list[Rows]:
    """Split rows into batches for a device, of even sizes, so that no pair is separated."""
    most = PIXELS_PER_BATCH if device.type == "cpu" else PIXELS_PER_GPU_BATCH
    step = max(min(most // (size.height * size.width), MAX_BATCH) // 2 * 2, 2)
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def map_parallel(
    function: Callable[[T], R], tasks: Iterable[T], device: torch.device
) -> Iterator[R]:
    """Yield function(task) for each task in order, on the CPU with one thread per core.

    For work bound by memory, that is faster than parallelising each operation.
    """
    if device.type != "cpu":
        yield from map(function, tasks)
        return
    workers = torch.get_num_threads()
    with open_single_threaded_pool(workers) as pool:
        yield from map_in_order(pool, function, tasks, ahead=workers)


class ImageCache:
    """Images that are costly to make, each made once and cached in an unnamed temporary file.

    Args:
        make: Numbers [n] -> uint8 [n, H, W, C].
        what: The operation, for the progress bar and for errors: 'reading photos.zip'.
    """

    def __init__(
        self, make: Callable[[Rows], Pixels], count: int, size: ImageShape, what: str
    ) -> None:
        self._make, self._size, self._what = make, size, what
        self._have = np.zeros(count, bool)
        with tempfile.TemporaryFile() as file:  # only the memory map keeps it open
            self._images: Pixels = np.memmap(file, np.uint8, "w+", shape=(count, *size)).view(
                np.ndarray
            )

    def read(self, rows: Rows) -> Pixels:
        """Read filled images: numbers [n] -> uint8 [n, H, W, C]."""
        images: Pixels = self._images[rows]
        return images

    def fill(self, rows: Rows) -> None:
        """Make the images of these numbers that are not cached yet."""
        missing = np.unique(rows[~self._have[rows]])
        num_bytes = len(missing) * int(np.prod(self._size))
        count = format_count(len(missing), "image")
        require_free_space(
            Path(tempfile.gettempdir()),
            num_bytes,
            f"{self._what}: {count} of {self._size} in temporary files",
        )
        with tqdm(
            total=len(missing), desc=self._what, unit="img", disable=None, leave=False
        ) as progress:
            for some in split_batches(missing, self._size, torch.device("cpu")):
                self._images[some] = self._make(some)
                self._have[some] = True
                progress.update(len(some))
