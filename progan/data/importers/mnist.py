"""MNIST in its original IDX files, and MNIST-RGB (stacked MNIST), -> ImageSource at 32x32.

MNIST-RGB: three random digits of MNIST as red, green and blue. A thousand classes that a network
can tell apart show which modes a generator has lost.
"""

import gzip
import struct
import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.errors import UserError
from progan.runtime.text import format_count

IMAGES_FILE = "train-images-idx3-ubyte"
LABELS_FILE = "train-labels-idx1-ubyte"
_TORCHVISION_FOLDER = Path("MNIST/raw")
PADDING = 2  # px on each side: 28 -> 32
_UINT8 = 8  # IDX's code of the element type


def import_mnist(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training digits of the folder `source`; raises UserError if files are amiss."""
    images, labels = read_digits(source)
    rows = select_rows(len(images), max_images, seed)
    return ImageSource(
        description=f"MNIST, {source.resolve()}",
        resolution=32,
        channels=1,
        count=len(rows),
        read=_Reader(images[rows]),
        labels=labels[rows],
        label_names=tuple("0123456789"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    images: npt.NDArray[np.uint8]  # [N,28,28]

    def __call__(self, row: int) -> Sample:
        return Sample(np.pad(self.images[row], PADDING)[:, :, np.newaxis])


def read_digits(source: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return all training digits, uint8 [N,28,28], and what they are, int64 [N], 0 … 9."""
    images = read_idx(_found(source, IMAGES_FILE), num_axes=3)
    labels = read_idx(_found(source, LABELS_FILE), num_axes=1)
    if images.shape[1:] != (28, 28):
        raise UserError(
            f"{source / IMAGES_FILE} holds images of {images.shape[1]}x"
            f"{images.shape[2]}, not the 28x28 of MNIST. Fetch MNIST again."
        )
    if len(images) != len(labels) or (labels > 9).any():
        raise UserError(
            f"{source / LABELS_FILE} does not hold one digit from 0 to 9 for each "
            f"of the {format_count(len(images), 'image')}, but "
            f"{format_count(len(labels), 'number')} up to {labels.max(initial=0)}. "
            "Fetch both files again from one place."
        )
    return images, labels.astype(np.int64)


def read_idx(path: Path, *, num_axes: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes, gzipped if its name ends in .gz; raises UserError."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        zeros, element_type, axes = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{axes}I", data, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"Cannot read {path}: {error}. Fetch it again.") from error
    if (zeros, element_type, axes) != (0, _UINT8, num_axes):
        raise UserError(f"{path} is not an IDX file of bytes with {num_axes} axes. Fetch it again.")
    body = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes)
    if body.size != prod(shape):
        raise UserError(
            f"{path} has {body.size} bytes of content instead of {prod(shape)}: it was "
            "cut short. Fetch it again."
        )
    return body.reshape(shape)


def _found(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise UserError(f"--source {folder} is no folder. Name the folder with the files of MNIST.")
    for place in (folder, folder / _TORCHVISION_FOLDER):
        for path in (place / name, place / f"{name}.gz"):
            if path.is_file():
                return path
    raise UserError(
        f"There is no {name} or {name}.gz in --source {folder}. Name the folder with "
        f"the files of MNIST; {IMAGES_FILE}.gz and {LABELS_FILE}.gz are needed."
    )


def import_mnist_rgb(source: Path, *, num_images: int, seed: int) -> ImageSource:
    """Draw `num_images` times three of the training digits in `source`.

    Image i has the i-th three numbers of one `RandomState(seed).randint`, as in the official
    tool, whose seed is 123. Class '407' is a red 4, a green 0 and a blue 7.
    """
    digits, labels = read_digits(source)
    if not len(digits):
        raise UserError(f"There is no digit in --source {source}. Fetch MNIST again.")
    rows = np.random.RandomState(seed).randint(len(digits), size=(num_images, 3))
    return ImageSource(
        description=f"MNIST-RGB of seed {seed}, {source.resolve()}",
        resolution=32,
        channels=3,
        count=num_images,
        read=_StackReader(digits, rows),
        labels=labels[rows] @ np.array([100, 10, 1]),
        label_names=tuple(f"{number:03d}" for number in range(1000)),
    )


@dataclass(frozen=True, slots=True)
class _StackReader:
    digits: npt.NDArray[np.uint8]  # [N,28,28]
    rows: npt.NDArray[np.int64]  # [num_images,3]

    def __call__(self, row: int) -> Sample:
        image = np.pad(
            self.digits[self.rows[row]], [(0, 0), (PADDING, PADDING), (PADDING, PADDING)]
        )  # [3,32,32]
        return Sample(image.transpose(1, 2, 0))
