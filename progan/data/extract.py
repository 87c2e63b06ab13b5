"""A dataset back to PNG files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from progan.data.reader import Dataset
from progan.runtime.files import clear, growing_directory, require_free_space
from progan.runtime.pool import in_order, worker_pool

_CHUNK = 64  # images that a worker takes at a time


def extract(dataset: Dataset, dest: Path, level: int, workers: int) -> int:
    """Write every image as DEST/<number>.png, or DEST/<class>/<number>.png; return how many.

    The pixels are those of the dataset, and `create-from-images` makes the same dataset of
    them, where they are no squares with their --size.

    Args:
        level: One that the dataset has.
        workers: Threads that compress.
    """
    digits, pixels_per_image = len(str(len(dataset) - 1)), dataset.info.size(level).pixels
    # PNG never takes much more than the pixels themselves.
    require_free_space(dest, len(dataset) * pixels_per_image * dataset.channels,
                       f"The folder {dest}")
    folders = _folders(dataset)

    def write(rows: npt.NDArray[np.int64]) -> int:
        for row, pixels in zip(rows, dataset.images(level, rows), strict=True):
            path = directory / folders[row] / f"{row:0{digits}d}.png"
            Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(path)
        return len(rows)

    with growing_directory(dest) as directory, _emptied(directory):
        for folder in set(folders):
            (directory / folder).mkdir(exist_ok=True)
        with (worker_pool(workers, in_processes=False) as pool,
              tqdm(total=len(dataset), unit="img", desc=str(dest), disable=None) as progress):
            for count in in_order(pool, write, _chunks(len(dataset)), ahead=2 * workers):
                progress.update(count)
    return len(dataset)


@contextmanager
def _emptied(directory: Path) -> Iterator[None]:
    """Remove what a killed attempt left, and what this one leaves if it fails."""
    clear(directory)
    try:
        yield
    except BaseException:
        clear(directory)
        raise


def _folders(dataset: Dataset) -> list[str]:
    """The folder of each image: the name of its class, made fit for a file system."""
    if not dataset.label_size:
        return [""] * len(dataset)
    names = [name.replace("/", "-") for name in dataset.label_names]
    return [names[label] for label in dataset.labels(np.arange(len(dataset)))]


def _chunks(count: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, count, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, count))
