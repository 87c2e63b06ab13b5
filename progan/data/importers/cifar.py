"""CIFAR-10 and CIFAR-100 in their original pickles, in a folder or the archive, at 32x32."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.errors import UserError
from progan.runtime.safe_pickle import load_plain

_SHAPE = (3, 32, 32)
_MAX_BYTES = 1 << 28  # the largest file has 155 MB


@dataclass(frozen=True, slots=True)
class Edition:
    """What distinguishes the two datasets."""

    name: str
    image_files: tuple[str, ...]
    names_file: str
    labels_key: str
    names_key: str
    folder: str
    archive: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.image_files, self.names_file)

    @property
    def wanted(self) -> str:
        return f"Name the folder {self.folder} or the file {self.archive}."


CIFAR10 = Edition(
    "CIFAR-10",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    "batches.meta",
    "labels",
    "label_names",
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
)
CIFAR100 = Edition(
    "CIFAR-100",
    ("train",),
    "meta",
    "fine_labels",
    "fine_label_names",
    "cifar-100-python",
    "cifar-100-python.tar.gz",
)


def import_cifar(
    source: Path, edition: Edition, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training images of `source`.

    It is the folder or the archive that the edition names, or a folder that has one of them.
    """
    if not source.exists():
        raise UserError(f"--source {source} does not exist. {edition.wanted}")
    places = (source / edition.folder, source / edition.archive)
    source = next((place for place in places if place.exists()), source)
    read = _read_archive if source.is_file() else _read_folder
    content = dict(read(source, edition.files))
    missing = [name for name in edition.files if name not in content]
    if missing:
        raise UserError(f"--source {source} has no {', '.join(missing)}. {edition.wanted}")
    batches = [_batch(content[name], edition, f"{source}: {name}") for name in edition.image_files]
    names = _names(content[edition.names_file], edition, f"{source}: {edition.names_file}")
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    wrong = labels[(labels < 0) | (labels >= len(names))]
    if wrong.size:
        raise UserError(
            f"{source} has a label {wrong[0]}, but {len(names)} class names. Fetch it again."
        )
    rows = select_rows(len(images), max_images, seed)
    return ImageSource(
        description=f"{edition.name}, {source.resolve()}",
        resolution=32,
        channels=3,
        count=len(rows),
        read=_Reader(images[rows]),
        labels=labels[rows],
        label_names=names,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    images: npt.NDArray[np.uint8]  # [N,3,32,32]

    def __call__(self, row: int) -> Sample:
        return Sample(self.images[row].transpose(1, 2, 0))


def _batch(
    content: Any, edition: Edition, where: str
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The images, uint8 [n,3,32,32], and labels, int64 [n], of one batch file."""
    try:
        images = np.asarray(content["data"]).reshape(-1, *_SHAPE)
        labels = np.array(content[edition.labels_key], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} is not a batch of {edition.name} ({error}). Fetch it again."
        ) from error
    if images.dtype != np.uint8 or labels.shape != (len(images),):
        raise UserError(
            f"{where} has {len(images)} images of {images.dtype} and {labels.size} "
            "labels. Fetch it again."
        )
    return images, labels


def _names(content: Any, edition: Edition, where: str) -> tuple[str, ...]:
    try:
        return tuple(str(name) for name in content[edition.names_key])
    except (KeyError, TypeError) as error:
        raise UserError(f"{where} has no class names. Fetch it again.") from error


def _read_folder(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        path = folder / name
        if path.is_file():
            yield name, load_plain(path.read_bytes(), str(path))


def _read_archive(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Unpickle the wanted members wherever they are in the archive; nothing is unpacked to disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isfile() else None
                if file and name in names and member.size <= _MAX_BYTES:
                    yield name, load_plain(file.read(), f"{path}: {member.name}")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(f"Cannot read the archive {path}: {error}. Fetch it again.") from error
