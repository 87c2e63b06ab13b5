"""Nearest neighbours of images among those that were trained on, in the space of a detector.

Figure 10 of the paper, and its appendix.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from metrics.detector import Setup
from metrics.samples import ImageSample, Rows, Size
from progan.errors import UserError

Distances = npt.NDArray[np.float64]


class Window(NamedTuple):
    """The part of each image that is compared, in px."""

    left: int
    top: int
    width: int
    height: int

    def of(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, height, width]."""
        return images[:, :, self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest training images of some images, nearest first.

    Attributes:
        distances: [Q, k].
        rows: Numbers of the training images in their source, [Q, k].
    """

    distances: Distances
    rows: npt.NDArray[np.int64]


def features(images: ImageSample, setup: Setup, window: Window) -> Tensor:
    """What the detector sees in the window: float64 [count, D] on the CPU."""
    detector = setup.detector
    assert detector is not None, "neighbours need a detector"
    return torch.cat(
        [
            detector.embed(window.of(batch))[0].double()
            for batch in images.batches(setup.device, "features")
        ]
    )


def nearest(
    queries: Tensor, own: Rows, training: ImageSample, setup: Setup, k: int, window: Window
) -> Neighbours:
    """Find the k nearest training images of each query; all of them are compared.

    Args:
        queries: Features, float64 [Q, D].
        own: Number of the training image that a query is itself, or any other number, [Q].
    """
    detector = setup.detector
    assert detector is not None, "neighbours need a detector"
    asked = torch.from_numpy(own)[:, None]
    distances = torch.full((len(queries), k), torch.inf, dtype=torch.float64)
    rows = torch.full((len(queries), k), -1)
    done = 0
    for batch in training.batches(setup.device, "looking for neighbours"):
        numbers = torch.from_numpy(training.rows[done : done + len(batch)])[None]
        # In float64: these are small differences of large numbers where images are alike.
        found = torch.cdist(queries, detector.embed(window.of(batch))[0].double())
        found = found.where(numbers != asked, torch.inf)
        distances, order = torch.cat([distances, found], 1).topk(k, largest=False)
        rows = torch.cat([rows, numbers.expand(len(asked), -1)], 1).gather(1, order)
        done += len(batch)
    return Neighbours(distances.numpy(), rows.numpy())


def parse_window(text: str | None, size: Size) -> Window:
    """'X,Y,WIDTHxHEIGHT' -> Window; all of the image if None. Raises UserError."""
    if text is None:
        return Window(0, 0, size.width, size.height)
    try:
        left, top, extent = text.split(",")
        width, height = extent.split("x")
        window = Window(int(left), int(top), int(width), int(height))
    except ValueError:
        raise UserError(f"--crop {text!r} is not X,Y,WIDTHxHEIGHT such as 16,8,32x40.") from None
    if (
        min(window.left, window.top) < 0
        or min(window.width, window.height) < 1
        or (window.left + window.width > size.width or window.top + window.height > size.height)
    ):
        raise UserError(
            f"--crop {text} does not lie inside of images of {size} (width, height, channels)."
        )
    return window
