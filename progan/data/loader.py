"""Batches of reals in the order of the schedule, prepared ahead of the training by a thread.

Everything about a batch follows from the number of images seen before it, so the loader keeps
no state that a resumed run would miss. A level that fits in the memory of the device is read (and
decoded) once and stays there; any other is read from the files, batch by batch.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan import schedule
from progan.batch_split import UNSHARDED, Shard, select_shard_rows
from progan.config import Run
from progan.data.reader import Dataset
from progan.runtime.cuda_prefetch import CudaPrefetcher, Prefetched
from progan.runtime.devices import call_or_none_if_out_of_memory, unclaimed_memory_bytes
from progan.runtime.files import format_bytes
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import PrintLine, format_count, format_duration

Rows = npt.NDArray[np.int64]
MAX_PREFETCHED = 4  # batches that wait, at most
AUTO_CACHE_DIVISOR = 4  # a quarter of the free memory; training may need the rest
CACHE_CHUNK_BYTES = 2**26  # images that are read at once


class ReadingCancelled(Exception):
    """The images are not needed any more."""


class DeviceImageCache:
    """The images of a dataset that are not held out, by level and number.

    Args:
        device: Keeps the images of a level if they fit.
        budget_bytes: Most memory of the device that images may take.
        print_line: Receives a line about the level that stays there, or did not fit after all.
        stopped: Returns True to end the reading of a level.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        budget_bytes: int = 0,
        print_line: PrintLine = lambda line: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._dataset, self._device, self._budget_bytes = dataset, device, budget_bytes
        self._print_line, self._stopped = print_line, stopped
        self._level = -1
        # All images of that level, uint8 [count, H, W, C] on the device; None: they do not fit.
        self._resident: Tensor | None = None

    def __call__(self, level: int, numbers: Rows) -> Tensor:
        """Read images of a level, [n] from 0 on -> uint8 [n, H, W, C], on the device or on the CPU.

        Raises ReadingCancelled.
        """
        if level != self._level:
            self._cache_level_if_it_fits(level)
        if (resident := self._resident) is not None:
            index = torch.from_numpy(numbers)
            picked = call_or_none_if_out_of_memory(
                lambda: resident.index_select(0, index.to(self._device))
            )
            if picked is not None:
                return picked
        return self._read_rows_to_cpu(level, self._training_rows[numbers])

    @property
    def _training_rows(self) -> Rows:
        return self._dataset.training_rows

    def _cache_level_if_it_fits(self, level: int) -> None:
        """Drop the cached level, and load all images of `level` if the budget allows it."""
        self._level, self._resident = level, None  # the old one goes before the new one comes
        num_bytes = len(self._training_rows) * self._image_bytes(level)
        if num_bytes > self._budget_bytes:
            return
        start = time.perf_counter()
        self._resident = call_or_none_if_out_of_memory(lambda: self._read_whole_level(level))
        stay, are = ("stays", "it is") if len(self._training_rows) == 1 else ("stay", "they are")
        what = (
            f"{format_count(len(self._training_rows), 'image')} of {self._dataset.info.size(level)}"
        )
        self._print_line(
            f"Out of memory for {what} ({format_bytes(num_bytes)}): {are} read batch by batch."
            if self._resident is None
            else f"{what} {stay} in the device's memory: {format_bytes(num_bytes)}, read in "
            f"{format_duration(time.perf_counter() - start)}."
        )

    def _read_whole_level(self, level: int) -> Tensor:
        """Read all images of a level: uint8 [count, H, W, C] on the device."""
        shape = (len(self._training_rows), *self._dataset.info.size(level), self._dataset.channels)
        images = torch.empty(shape, dtype=torch.uint8, device=self._device)
        step = max(CACHE_CHUNK_BYTES // self._image_bytes(level), 1)
        for start in range(0, len(images), step):
            if self._stopped():
                raise ReadingCancelled
            images[start : start + step] = self._read_rows_to_cpu(
                level, self._training_rows[start : start + step]
            )
        return images

    def _read_rows_to_cpu(self, level: int, rows: Rows) -> Tensor:
        """Read images from the dataset's files: uint8 [n, H, W, C] on the CPU."""
        return torch.from_numpy(self._dataset.images(level, rows))

    def _image_bytes(self, level: int) -> int:
        """Return the bytes of one image at a level."""
        return self._dataset.info.size(level).pixels * self._dataset.channels


def compute_cache_budget_bytes(gib: float, device: torch.device) -> int:
    """Return the memory of a device that images may take.

    Args:
        gib: The requested GiB. Below 0: a quarter of the memory that the GPU has left after the
            preflight, and 0 on a CPU, which caches files anyway.
    """
    if gib >= 0:
        return int(gib * 2**30)
    if device.type != "cuda":
        return 0
    return (unclaimed_memory_bytes(device) or 0) // AUTO_CACHE_DIVISOR


class ShuffledRows:
    """An endless stream of rows; any stretch of it can be asked for, in any order."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def rows(self, start: int, size: int) -> Rows:
        """Return the rows at positions start … start + size - 1 of the stream: int64 [size]."""
        positions = np.arange(start, start + size)
        parts = [
            self._shuffle_epoch(int(epoch))[
                positions[positions // self.count == epoch] % self.count
            ]
            for epoch in np.unique(positions // self.count)
        ]
        return np.concatenate(parts)

    def _shuffle_epoch(self, epoch: int) -> Rows:
        """Return the permutation of all rows for an epoch, kept until another is asked for."""
        if epoch != self._epoch:
            stream = numpy_generator(self.seed, "shuffle", epoch)
            self._epoch, self._order = epoch, stream.permutation(self.count)
        return self._order


class Batch(NamedTuple):
    """Real images for one discriminator step: all of them, or the shard of this process."""

    images: Tensor  # uint8 [N, H, W, C]
    labels: Tensor  # float32 [N, label_size], one-hot, of these images
    drawn_labels: Tensor  # float32 [N, label_size], of other images drawn at random
    rows: Tensor | None = None  # int64 [N], positions in the whole batch; None: all of it
    shard: Shard = UNSHARDED

    @property
    def whole_size(self) -> int:
        return len(self.images) * self.shard.num_shards

    def to(self, device: torch.device) -> "Batch":
        """Copy all tensors to a device."""
        moved: Batch = tree_map_only(Tensor, lambda part: part.to(device), self)
        return moved


def read_batches(
    dataset: Dataset,
    run: Run,
    images_seen: int,
    round_images_seen: int | None = None,
    shard: Shard = UNSHARDED,
    images: DeviceImageCache | None = None,
) -> Iterator[Batch]:
    """Yield the batch of each discriminator step from `images_seen` to the end of the run.

    Args:
        round_images_seen: Images seen at the start of the round that `images_seen` is inside of.
        shard: Read only the images of this shard of each batch.
        images: Source of the images; None: the files.
    """
    training = dataset.training_rows
    images = images or DeviceImageCache(dataset, torch.device("cpu"))
    shuffle = ShuffledRows(len(training), run.seed)
    for start, stage in schedule.iterate_rounds(
        run.growth, run.network, images_seen, round_images_seen
    ):
        end, own = (
            start + schedule.images_per_round(run.growth, stage),
            select_shard_rows(run, stage.batch, shard),
        )
        for position in range(max(start, images_seen), end, stage.batch):
            numbers = shuffle.rows(position, stage.batch)[own]
            drawn = training[
                numpy_generator(run.seed, "labels", position).integers(
                    len(training), size=stage.batch
                )[own]
            ]
            yield Batch(
                images(stage.level, numbers),
                read_one_hot_labels(dataset, training[numbers], run.network.label_size),
                read_one_hot_labels(dataset, drawn, run.network.label_size),
                torch.from_numpy(own) if shard.num_shards > 1 else None,
                shard,
            )


def read_one_hot_labels(dataset: Dataset, rows: Rows, label_size: int) -> Tensor:
    """Read labels of rows, [N] -> float32 [N, label_size]; [N, 0] if `label_size` is 0."""
    if not label_size:
        return torch.zeros(len(rows), 0)
    return F.one_hot(torch.from_numpy(dataset.labels(rows)), label_size).float()


def prefetch_batches(
    dataset: Dataset,
    run: Run,
    device: torch.device,
    images_seen: int,
    round_images_seen: int | None = None,
    shard: Shard = UNSHARDED,
    budget_bytes: int = 0,
    print_line: PrintLine = lambda line: None,
) -> "Prefetcher":
    """Start a thread that reads the batches of `read_batches` for a device.

    Args:
        budget_bytes: A level whose images take no more memory of the device stays there.
        print_line: Receives a line about each level that stays there.
    """
    stop = threading.Event()
    images = DeviceImageCache(dataset, device, budget_bytes, print_line, stop.is_set)
    return Prefetcher(
        read_batches(dataset, run, images_seen, round_images_seen, shard, images), device, stop
    )


class Prefetcher:
    """Read batches in a thread, send them to the device, and measure the waiting time.

    Args:
        stop: Set when no more batches are wanted; ends the thread.
    """

    def __init__(
        self, batches: Iterator[Batch], device: torch.device, stop: threading.Event | None = None
    ) -> None:
        self.wait_seconds = 0.0
        self._prefetcher = CudaPrefetcher(device)
        self._queue: queue.Queue[Prefetched[Batch] | BaseException | None] = queue.Queue(
            MAX_PREFETCHED
        )
        self._stop = stop or threading.Event()
        self._thread = threading.Thread(
            target=self._prefetch_in_thread, args=(batches,), daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        self._prefetcher.limit_queue()
        start = time.perf_counter()
        try:
            item = None if self._stop.is_set() else self._queue.get()
            if isinstance(item, Prefetched):
                return self._prefetcher.receive(item)
        finally:
            self.wait_seconds += time.perf_counter() - start
        self._stop.set()
        raise StopIteration if item is None else item

    def close(self) -> None:
        """Stop reading ahead; there are no more batches then."""
        self._stop.set()
        self._thread.join()

    def _prefetch_in_thread(self, batches: Iterator[Batch]) -> None:
        """Put each batch, copied to the device, then None; an error is put instead of raised."""
        try:
            with self._prefetcher.use_stream():
                for batch in batches:
                    if not self._put_unless_stopped(self._prefetcher.copy_ahead(batch)):
                        return
            self._put_unless_stopped(None)
        except BaseException as error:  # noqa: B036 (raised again where a batch is asked for)
            self._put_unless_stopped(error)

    def _put_unless_stopped(self, item: Prefetched[Batch] | BaseException | None) -> bool:
        """Wait for space in the queue and put an item; False if stopped meanwhile."""
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
