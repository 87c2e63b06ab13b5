"""CIFAR-10 in its original pickles, in a folder or in the archive -> ImageSource at 32x32."""

import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from progan.data.importers.pickles import load_arrays
from progan.data.source import ImageSource, Sample, chosen
from progan.errors import UserError

BATCH_FILES = tuple(f"data_batch_{number}" for number in range(1, 6))
META_FILE = "batches.meta"
_WANTED = "Name the folder cifar-10-batches-py or the file cifar-10-python.tar.gz."
_SHAPE = (3, 32, 32)
_MAX_BYTES = 1 << 28  # a batch has 31 MB


def import_cifar10(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training images of `source`: `cifar-10-batches-py` or `cifar-10-python.tar.gz`."""
    if not source.exists():
        raise UserError(f"--source {source} does not exist. {_WANTED}")
    content = dict(_read_archive(source) if source.is_file() else _read_folder(source))
    missing = [name for name in (*BATCH_FILES, META_FILE) if name not in content]
    if missing:
        raise UserError(f"--source {source} has no {', '.join(missing)}. {_WANTED}")
    batches = [_batch(content[name], f"{source}: {name}") for name in BATCH_FILES]
    names = _names(content[META_FILE], f"{source}: {META_FILE}")
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    wrong = labels[(labels < 0) | (labels >= len(names))]
    if wrong.size:
        raise UserError(f"{source} has a label {wrong[0]}, but {len(names)} class names. "
                        "Fetch it again.")
    rows = chosen(len(images), max_images, seed)
    return ImageSource(
        description=f"CIFAR-10, {source.resolve()}", resolution=32, channels=3, count=len(rows),
        read=_Reader(images[rows]), labels=labels[rows], label_names=names,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    images: npt.NDArray[np.uint8]  # [N,3,32,32]

    def __call__(self, row: int) -> Sample:
        return Sample(self.images[row].transpose(1, 2, 0))


def _batch(content: Any, where: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The images, uint8 [n,3,32,32], and labels, int64 [n], of one batch file."""
    try:
        images = np.asarray(content["data"]).reshape(-1, *_SHAPE)
        labels = np.array(content["labels"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where} is not a batch of CIFAR-10 ({error}). Fetch it again.") from error
    if images.dtype != np.uint8 or labels.shape != (len(images),):
        raise UserError(f"{where} has {len(images)} images of {images.dtype} and {labels.size} "
                        "labels. Fetch it again.")
    return images, labels


def _names(content: Any, where: str) -> tuple[str, ...]:
    try:
        return tuple(str(name) for name in content["label_names"])
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} has no class names. Fetch it again.") from error


def _read_folder(folder: Path) -> Iterator[tuple[str, Any]]:
    for name in (*BATCH_FILES, META_FILE):
        path = folder / name
        if path.is_file():
            yield name, load_arrays(path.read_bytes(), str(path))


def _read_archive(path: Path) -> Iterator[tuple[str, Any]]:
    """Unpickle the wanted members wherever they are in the archive; nothing is unpacked to disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isfile() else None
                if file and name in (*BATCH_FILES, META_FILE) and member.size <= _MAX_BYTES:
                    yield name, load_arrays(file.read(), f"{path}: {member.name}")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(f"Cannot read the archive {path}: {error}. Fetch it again.") from error
