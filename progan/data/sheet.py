"""A contact sheet: many images of a dataset on one page."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from progan.data.source import chosen

_GAP = 2  # px between two images


def sheet(images: npt.NDArray[np.uint8]) -> Image.Image:
    """Lay images, uint8 [n,h,w,C], n >= 1, in rows on a page about as high as wide."""
    num, height, width, channels = images.shape
    down, across = height + _GAP, width + _GAP
    columns = min(math.ceil(math.sqrt(num * down / across)), num)
    rows = math.ceil(num / columns)
    page = np.zeros((rows * down - _GAP, columns * across - _GAP, channels), dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * down, index % columns * across
        page[top:top + height, left:left + width] = image
    return Image.fromarray(page[:, :, 0] if channels == 1 else page)


def shown_rows(count: int, num: int, seed: int | None) -> npt.NDArray[np.int64]:
    """Which rows to show: `num` of `count`, in ascending order.

    Without a seed they are spread evenly, since images of one class often stand together;
    with a seed they are drawn.
    """
    if seed is not None:
        return chosen(count, num, seed)
    num = min(num, count)
    return np.arange(num, dtype=np.int64) * count // num
