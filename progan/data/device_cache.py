"""Images to train on, from the memory of the device where a level fits in.

Such a level is read once, and if it is compressed decoded once, when training reaches it. Any
other is read from the files, batch by batch.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.data.reader import Dataset
from progan.runtime.devices import none_if_out_of_memory, unclaimed_memory_bytes
from progan.runtime.files import human_bytes
from progan.runtime.text import format_count, human_seconds

Numbers = npt.NDArray[np.int64]
AUTO_SHARE = 4  # one part in so many; training may yet need the others
CHUNK_BYTES = 2**26  # of images that are read at once


class ReadingCancelled(Exception):
    """Nobody waits for the images any more."""


class DeviceImageCache:
    """The images of a dataset that are not held out, by level and number.

    Args:
        device: Where a level stays if it fits.
        budget_bytes: Most memory of the device that images may take.
        report: Is told in one line what stays there, or that it did not fit after all.
        stopped: Whether nobody waits any more; reading a level ends then.
    """

    def __init__(
        self,
        dataset: Dataset,
        device: torch.device,
        budget_bytes: int = 0,
        report: Callable[[str], None] = lambda line: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._dataset, self._device, self._budget_bytes = dataset, device, budget_bytes
        self._report, self._stopped = report, stopped
        self._level = -1
        # All images of that level, uint8 [count, H, W, C] on the device; None: they do not fit.
        self._resident: Tensor | None = None

    def __call__(self, level: int, numbers: Numbers) -> Tensor:
        """Images of a level, [n] from 0 on -> uint8 [n, H, W, C], on the device or on the CPU.

        Raises Abandoned.
        """
        if level != self._level:
            self._enter(level)
        resident = self._resident
        picked = (
            None
            if resident is None
            else none_if_out_of_memory(
                lambda: resident.index_select(0, torch.from_numpy(numbers).to(self._device))
            )
        )
        return self._read(level, self._rows[numbers]) if picked is None else picked

    @property
    def _rows(self) -> Numbers:
        return self._dataset.training_rows

    def _enter(self, level: int) -> None:
        self._level, self._resident = level, None  # the old one goes before the new one comes
        num_bytes = len(self._rows) * self._image_bytes(level)
        if num_bytes > self._budget_bytes:
            return
        start = time.perf_counter()
        self._resident = none_if_out_of_memory(lambda: self._all(level))
        stay, are = ("stays", "it is") if len(self._rows) == 1 else ("stay", "they are")
        what = f"{format_count(len(self._rows), 'image')} of {self._dataset.info.size(level)}"
        self._report(
            f"Out of memory for {what} ({human_bytes(num_bytes)}): {are} read batch by batch."
            if self._resident is None
            else f"{what} {stay} in the device's memory: {human_bytes(num_bytes)}, read in "
            f"{human_seconds(time.perf_counter() - start)}."
        )

    def _all(self, level: int) -> Tensor:
        """Read all images of a level: uint8 [count, H, W, C] on the device."""
        shape = (len(self._rows), *self._dataset.info.size(level), self._dataset.channels)
        images = torch.empty(shape, dtype=torch.uint8, device=self._device)
        step = max(CHUNK_BYTES // self._image_bytes(level), 1)
        for start in range(0, len(images), step):
            if self._stopped():
                raise ReadingCancelled
            images[start : start + step] = self._read(level, self._rows[start : start + step])
        return images

    def _read(self, level: int, rows: Numbers) -> Tensor:
        return torch.from_numpy(self._dataset.images(level, rows))

    def _image_bytes(self, level: int) -> int:
        return self._dataset.info.size(level).pixels * self._dataset.channels


def cache_budget_bytes(gib: float, device: torch.device) -> int:
    """How much memory of a device images may take.

    Args:
        gib: What was asked for. Below 0 it is a share of what the GPU has left; what a preflight
            has needed is not in that. Elsewhere it is nothing then: files that were read once are
            in the same memory already.
    """
    if gib >= 0:
        return int(gib * 2**30)
    return (unclaimed_memory_bytes(device) or 0) // AUTO_SHARE if device.type == "cuda" else 0
