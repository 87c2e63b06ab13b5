"""A draw: the images that one measurement is made from, to be read as often as needed."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from progan.images import Pixels
from progan.runtime.files import require_free_space

Rows = npt.NDArray[np.int64]

PIXELS_PER_BATCH = 2**20  # 256 images of 64x64, one of 1024x1024: 12 MiB of float32 RGB
MAX_BATCH = 256


class Size(NamedTuple):
    """Height and width in px, and channels."""

    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True, slots=True)
class Draw:
    """Images in a fixed order.

    Attributes:
        read: Positions [n] in this draw -> uint8 [n, H, W, C].
    """

    count: int
    size: Size
    read: Callable[[Rows], Pixels]

    def first(self, count: int) -> "Draw":
        """The beginning of this draw."""
        return replace(self, count=count)

    def batches(self, device: torch.device) -> Iterator[Tensor]:
        """Yield all images in order: float32 [n, C, H, W], 0…255; n is even but for the last."""
        step = batch_size(self.size)
        for start in range(0, self.count, step):
            pixels = self.read(np.arange(start, min(start + step, self.count)))
            yield torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).to(torch.float32)


def batch_size(size: Size) -> int:
    """How many images are computed at a time: an even number, so that no pair is torn apart."""
    return max(min(PIXELS_PER_BATCH // (size.height * size.width), MAX_BATCH) // 2 * 2, 2)


def direct(read: Callable[[Rows], Pixels], rows: Rows, size: Size) -> Draw:
    """The images of these rows [count], read anew each time: for what is cheap to read."""
    return Draw(len(rows), size, lambda positions: read(rows[positions]))


def kept(read: Callable[[Rows], Pixels], rows: Rows, size: Size, what: str) -> Draw:
    """The images of these rows [count], read once into a temporary file that nobody sees.

    Args:
        what: What is done, for the progress bar and for errors: 'rendering run/…'.
    """
    shape = (len(rows), *size)
    require_free_space(Path(tempfile.gettempdir()), int(np.prod(shape)), f"{what}: {shape[0]} "
                       f"images of {size} in temporary files")
    with tempfile.TemporaryFile() as file:  # the map keeps it alive, and nothing else does
        array: Pixels = np.memmap(file, np.uint8, "w+", shape=shape).view(np.ndarray)
    step = batch_size(size)
    for start in tqdm(range(0, len(rows), step), desc=what, unit="batch", disable=None,
                      leave=False):
        array[start:start + step] = read(rows[start:start + step])
    return Draw(len(rows), size, lambda positions: array[positions])
