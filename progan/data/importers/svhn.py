"""SVHN's cropped digits in their original MATLAB file -> ImageSource at 32x32."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.errors import UserError

TRAIN_FILE = "train_32x32.mat"
_WANTED = f"Name {TRAIN_FILE}, or the folder that it is in."


def import_svhn(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training digits of `source`, the file or its folder; raises UserError."""
    path = source / TRAIN_FILE if source.is_dir() else source
    if not path.is_file():
        raise UserError(f"There is no {path}. {_WANTED}")
    images, labels = _arrays(path)
    rows = select_rows(len(labels), max_images, seed)
    return ImageSource(
        description=f"SVHN, {path.resolve()}",
        resolution=32,
        channels=3,
        count=len(rows),
        read=_Reader(images, rows),
        labels=labels[rows],
        label_names=tuple("0123456789"),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    images: npt.NDArray[np.uint8]  # [N,32,32,3], strided as MATLAB stores it
    rows: npt.NDArray[np.int64]

    def __call__(self, row: int) -> Sample:
        return Sample(np.ascontiguousarray(self.images[self.rows[row]]))


def _arrays(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The images, uint8 [N,32,32,3], and their digits, int64 [N]."""
    from scipy.io import loadmat  # slow to import

    try:
        content: dict[str, Any] = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].reshape(-1)
    except Exception as error:  # broken files make the reader raise nearly anything
        raise UserError(
            f"Cannot read {path} as SVHN's ({type(error).__name__}: {error}). {_WANTED}"
            " If it is that, fetch it again."
        ) from error
    if images.shape != (32, 32, 3, len(labels)) or images.dtype != np.uint8 or not len(labels):
        raise UserError(
            f"{path} holds images of the shape {images.shape}, {images.dtype}, and "
            f"{len(labels)} labels, not [32,32,3,N] of uint8 and N. {_WANTED}"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > 10:
        raise UserError(
            f"{path} has labels from {labels.min()} to {labels.max()}, not from 1 to "
            "10, which stands for the digit 0. Fetch it again."
        )
    return images.transpose(3, 0, 1, 2), labels.astype(np.int64) % 10
