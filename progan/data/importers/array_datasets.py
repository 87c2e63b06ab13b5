"""MNIST, MNIST-RGB (stacked MNIST), CIFAR and SVHN: arrays of small images -> ImageSource at 32x32.

MNIST-RGB: three random digits of MNIST as red, green and blue. A thousand classes that a network
can distinguish show which modes a generator has lost.
"""

import gzip
import hashlib
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.errors import UserError
from progan.runtime.safe_pickle import load_plain
from progan.runtime.text import format_count

MNIST_IMAGES = "train-images-idx3-ubyte"
MNIST_LABELS = "train-labels-idx1-ubyte"
MNIST_PADDING = [(0, 0), (2, 2), (2, 2)]  # 28 -> 32 px, of [N,28,28]
Images = npt.NDArray[np.uint8]
ClassIndices = npt.NDArray[np.int64]
_TORCHVISION_FOLDER = Path("MNIST/raw")
_IDX_UINT8 = 8  # code of the element type
_DIGITS = tuple("0123456789")
_CIFAR_SHAPE = (3, 32, 32)
_MAX_PICKLE_BYTES = 1 << 28  # the largest file has 155 MB
SVHN_FILE = "train_32x32.mat"
_SVHN_HINT = f"Name {SVHN_FILE}, or the folder that it is in."


def _make_array_source(
    description: str,
    images: Images,
    labels: ClassIndices,
    label_names: tuple[str, ...],
    max_images: int | None,
    seed: int | None,
) -> ImageSource:
    """Make a source of images [N,32,32,C] in memory."""
    rows = select_rows(len(images), max_images, seed)

    def read(row: int) -> Sample:
        return Sample(np.ascontiguousarray(images[rows[row]]))

    return ImageSource(
        description=description,
        resolution=32,
        channels=images.shape[-1],
        count=len(rows),
        read=read,
        identity=_hash_arrays(images, labels),
        labels=labels[rows],
        label_names=label_names,
    )


def _hash_arrays(*arrays: npt.NDArray[Any]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data.cast("B"))
    return digest.hexdigest()


def import_mnist(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training digits of the folder `source`; raises UserError for wrong files."""
    digits, labels = read_digits(source)
    images = np.pad(digits, MNIST_PADDING)[..., np.newaxis]
    return _make_array_source(
        f"MNIST, {source.resolve()}", images, labels, _DIGITS, max_images, seed
    )


def import_mnist_rgb(source: Path, *, num_images: int, seed: int) -> ImageSource:
    """Combine `num_images` times three random training digits of `source`.

    Image i has the i-th three numbers of one `RandomState(seed).randint`, as in the official
    tool, whose seed is 123. Class '407' is a red 4, a green 0 and a blue 7.
    """
    digits, labels = read_digits(source)
    if not len(digits):
        raise UserError(f"No digits in --source {source}. Fetch MNIST again.")
    rows = np.random.RandomState(seed).randint(len(digits), size=(num_images, 3))

    def read(row: int) -> Sample:
        return Sample(np.pad(digits[rows[row]], MNIST_PADDING).transpose(1, 2, 0))

    return ImageSource(
        description=f"MNIST-RGB of seed {seed}, {source.resolve()}",
        resolution=32,
        channels=3,
        count=num_images,
        read=read,
        identity=_hash_arrays(digits, labels),
        labels=labels[rows] @ np.array([100, 10, 1]),
        label_names=tuple(f"{number:03d}" for number in range(1000)),
    )


def read_digits(source: Path) -> tuple[Images, ClassIndices]:
    """Return all training digits of MNIST, uint8 [N,28,28], and their labels, int64 [N], 0 … 9."""
    images = read_idx(_find_mnist_file(source, MNIST_IMAGES), num_axes=3)
    labels = read_idx(_find_mnist_file(source, MNIST_LABELS), num_axes=1)
    if images.shape[1:] != (28, 28):
        raise UserError(
            f"{source / MNIST_IMAGES} holds images of {images.shape[1]}x"
            f"{images.shape[2]}, not the 28x28 of MNIST. Fetch MNIST again."
        )
    if len(images) != len(labels) or (labels > 9).any():
        raise UserError(
            f"{source / MNIST_LABELS} does not hold one digit from 0 to 9 for each of the "
            f"{format_count(len(images), 'image')}, but {format_count(len(labels), 'number')} up "
            f"to {labels.max(initial=0)}. Fetch both files again from one place."
        )
    return images, labels.astype(np.int64)


def read_idx(path: Path, *, num_axes: int) -> Images:
    """Read an IDX file of bytes, gzipped if its name ends in .gz; raises UserError."""
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        zeros, element_type, axes = struct.unpack_from(">HBB", data)
        shape = struct.unpack_from(f">{axes}I", data, 4)
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise UserError(f"Cannot read {path}: {error}. Fetch it again.") from error
    if (zeros, element_type, axes) != (0, _IDX_UINT8, num_axes):
        raise UserError(f"{path} is not an IDX file of bytes with {num_axes} axes. Fetch it again.")
    body = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * axes)
    if body.size != prod(shape):
        raise UserError(
            f"{path} has {body.size} bytes of content instead of {prod(shape)}: it was "
            "cut short. Fetch it again."
        )
    return body.reshape(shape)


def _find_mnist_file(folder: Path, name: str) -> Path:
    """Find a file, plain or .gz, in the folder or torchvision's folder below; UserError."""
    if not folder.is_dir():
        raise UserError(
            f"--source {folder} is not a folder. Name the folder with the files of MNIST."
        )
    for parent in (folder, folder / _TORCHVISION_FOLDER):
        for path in (parent / name, parent / f"{name}.gz"):
            if path.is_file():
                return path
    raise UserError(
        f"No {name} or {name}.gz in --source {folder}. Name the folder with "
        f"the files of MNIST; {MNIST_IMAGES}.gz and {MNIST_LABELS}.gz are needed."
    )


class CifarVariant(NamedTuple):
    """Names that distinguish CIFAR-10 from CIFAR-100."""

    name: str
    image_files: tuple[str, ...]
    names_file: str
    labels_key: str
    names_key: str
    folder: str
    archive: str


CIFAR10 = CifarVariant(
    "CIFAR-10",
    tuple(f"data_batch_{number}" for number in range(1, 6)),
    "batches.meta",
    "labels",
    "label_names",
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
)
CIFAR100 = CifarVariant(
    "CIFAR-100",
    ("train",),
    "meta",
    "fine_labels",
    "fine_label_names",
    "cifar-100-python",
    "cifar-100-python.tar.gz",
)


def import_cifar(
    source: Path, variant: CifarVariant, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the training images of `source`.

    It is the folder or the archive that the variant names, or a folder that has one of them.
    """
    hint = f"Name the folder {variant.folder} or the file {variant.archive}."
    if not source.exists():
        raise UserError(f"--source {source} does not exist. {hint}")
    candidates = (source / variant.folder, source / variant.archive)
    source = next((path for path in candidates if path.exists()), source)
    read = _read_archive if source.is_file() else _read_folder
    files = (*variant.image_files, variant.names_file)
    content = dict(read(source, files))
    missing = [name for name in files if name not in content]
    if missing:
        raise UserError(f"--source {source} has no {', '.join(missing)}. {hint}")
    batches = [
        _parse_cifar_batch(content[name], variant, f"{source}: {name}")
        for name in variant.image_files
    ]
    try:
        names = tuple(str(name) for name in content[variant.names_file][variant.names_key])
    except (KeyError, TypeError) as error:
        where = f"{source}: {variant.names_file}"
        raise UserError(f"{where} has no class names. Fetch it again.") from error
    images = np.concatenate([images for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    wrong = labels[(labels < 0) | (labels >= len(names))]
    if wrong.size:
        raise UserError(
            f"{source} has a label {wrong[0]}, but {len(names)} class names. Fetch it again."
        )
    description = f"{variant.name}, {source.resolve()}"
    return _make_array_source(
        description, images.transpose(0, 2, 3, 1), labels, names, max_images, seed
    )


import_cifar10 = partial(import_cifar, variant=CIFAR10)
import_cifar100 = partial(import_cifar, variant=CIFAR100)


def _parse_cifar_batch(
    content: Any, variant: CifarVariant, where: str
) -> tuple[Images, ClassIndices]:
    """Return the images, uint8 [n,3,32,32], and labels, int64 [n], of one batch file."""
    try:
        images = np.asarray(content["data"]).reshape(-1, *_CIFAR_SHAPE)
        labels = np.array(content[variant.labels_key], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} is not a batch of {variant.name} ({error}). Fetch it again."
        ) from error
    if images.dtype != np.uint8 or labels.shape != (len(images),):
        raise UserError(
            f"{where} has {len(images)} images of {images.dtype} and {labels.size} "
            "labels. Fetch it again."
        )
    return images, labels


def _read_folder(folder: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Unpickle the named files of a folder; yield (name, content)."""
    for name in names:
        path = folder / name
        if path.is_file():
            yield name, load_plain(path.read_bytes(), str(path))


def _read_archive(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Unpickle the named members from any folder of the archive, without unpacking it to disk."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                file = archive.extractfile(member) if member.isfile() else None
                if file and name in names and member.size <= _MAX_PICKLE_BYTES:
                    yield name, load_plain(file.read(), f"{path}: {member.name}")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(f"Cannot read the archive {path}: {error}. Fetch it again.") from error


def import_svhn(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Read the cropped training digits of `source`, SVHN's file or its folder."""
    path = source / SVHN_FILE if source.is_dir() else source
    if not path.is_file():
        raise UserError(f"No such file: {path}. {_SVHN_HINT}")
    images, labels = _read_svhn(path)
    return _make_array_source(f"SVHN, {path.resolve()}", images, labels, _DIGITS, max_images, seed)


def _read_svhn(path: Path) -> tuple[Images, ClassIndices]:
    """Return the images, uint8 [N,32,32,3], and their digits, int64 [N], of a MATLAB file."""
    from scipy.io import loadmat  # slow to import

    try:
        content: dict[str, Any] = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].reshape(-1)
    except Exception as error:  # broken files make the reader raise nearly anything
        raise UserError(
            f"Cannot read {path} as SVHN's ({type(error).__name__}: {error}). {_SVHN_HINT}"
            " If it is that, fetch it again."
        ) from error
    if images.shape != (32, 32, 3, len(labels)) or images.dtype != np.uint8 or not len(labels):
        raise UserError(
            f"{path} holds images of the shape {images.shape}, {images.dtype}, and "
            f"{len(labels)} labels, not [32,32,3,N] of uint8 and N. {_SVHN_HINT}"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 1 or labels.max() > 10:
        raise UserError(
            f"{path} has labels from {labels.min()} to {labels.max()}, not from 1 to "
            "10, which stands for the digit 0. Fetch it again."
        )
    return images.transpose(3, 0, 1, 2), labels.astype(np.int64) % 10
