"""MNIST-RGB: three random digits of MNIST as red, green and blue -> ImageSource at 32x32.

Also called stacked MNIST. A thousand classes that a network can tell apart show which modes a
generator has lost.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.importers.mnist import PADDING, read_digits
from progan.data.source import ImageSource, Sample
from progan.errors import UserError


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
        description=f"MNIST-RGB of seed {seed}, {source.resolve()}", resolution=32, channels=3,
        count=num_images, read=_Reader(digits, rows), labels=labels[rows] @ np.array([100, 10, 1]),
        label_names=tuple(f"{number:03d}" for number in range(1000)),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    digits: npt.NDArray[np.uint8]  # [N,28,28]
    rows: npt.NDArray[np.int64]  # [num_images,3]

    def __call__(self, row: int) -> Sample:
        image = np.pad(self.digits[self.rows[row]], [(0, 0), (PADDING, PADDING),
                                                     (PADDING, PADDING)])  # [3,32,32]
        return Sample(image.transpose(1, 2, 0))
