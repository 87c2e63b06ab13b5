"""Importers by name: known datasets, file formats and datasets of progan; downloads.

Only this file imports torchvision, and only to download: a CPU-only torch cannot import it.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from progan.data.image_source import ImageSource, Sample, select_rows
from progan.data.importers.array_datasets import (
    import_cifar10,
    import_cifar100,
    import_mnist,
    import_mnist_rgb,
    import_svhn,
)
from progan.data.importers.hdf5 import import_hdf5
from progan.data.importers.photo_datasets import import_celeba, import_cub200, import_lsun
from progan.data.importers.tfrecords import import_tfrecords
from progan.data.reader import Dataset, require_undamaged
from progan.errors import UserError
from progan.runtime.text import PrintLine, format_count, pluralize
from progan.sizes import MIN_LEVEL


def import_dataset(
    source: Path,
    *,
    resolution: int | None = None,
    max_images: int | None = None,
    seed: int | None = None,
) -> ImageSource:
    """Take the levels up to `resolution`, with labels, landmarks and what is held out.

    Raises:
        UserError: No whole dataset, no such level, only images that are held out, or files that
            are not what was written: the copy's checksums would hide that.
    """
    dataset = Dataset.open(source)
    level = dataset.choose_level(resolution)
    rows = select_rows(len(dataset), max_images, seed)
    held_out = np.flatnonzero(np.isin(rows, dataset.held_out_rows))
    if len(held_out) == len(rows):
        raise UserError(
            f"The {format_count(len(rows), 'image')} taken of {source} "
            f"{pluralize(len(rows), 'is', 'are')} held out there, so that none "
            "would be left to train on. Take more of them."
        )
    require_undamaged(dataset.path, dataset.info, level)

    def read(row: int) -> Sample:
        one = rows[row : row + 1]
        smaller = {lower: dataset.images(lower, one)[0] for lower in range(MIN_LEVEL, level)}
        points = None
        if dataset.info.has_landmarks:
            points = dataset.landmarks(one)[0] * np.float32(2**level / dataset.resolution)
        return Sample(dataset.images(level, one)[0], points, smaller)

    return ImageSource(
        description=f"dataset {dataset.path.resolve()} of {dataset.info.source}",
        resolution=1 << level,
        base=dataset.info.base,
        channels=dataset.channels,
        count=len(rows),
        read=read,
        identity=dataset.info.fingerprint,
        labels=dataset.labels(rows) if dataset.label_size else None,
        label_names=dataset.label_names,
        has_landmarks=dataset.info.has_landmarks,
        held_out=held_out,
    )


IMPORTERS: dict[str, Callable[..., ImageSource]] = {
    "mnist": import_mnist,
    "mnist-rgb": import_mnist_rgb,
    "cifar10": import_cifar10,
    "cifar100": import_cifar100,
    "svhn": import_svhn,
    "celeba": import_celeba,
    "lsun": import_lsun,
    "cub200": import_cub200,
    "from-tfrecords": import_tfrecords,
    "from-hdf5": import_hdf5,
    "from-dataset": import_dataset,
}


class _Download(NamedTuple):
    title: str
    files: str  # the files that are needed
    class_name: str  # class of torchvision.datasets, and its options
    options: dict[str, Any]


_DOWNLOADS = {
    "mnist": _Download(
        "MNIST",
        "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
        "MNIST",
        {"train": True},
    ),
    "cifar10": _Download("CIFAR-10", "cifar-10-python.tar.gz", "CIFAR10", {"train": True}),
    "cifar100": _Download("CIFAR-100", "cifar-100-python.tar.gz", "CIFAR100", {"train": True}),
    "svhn": _Download("SVHN", "train_32x32.mat", "SVHN", {"split": "train"}),
    "celeba": _Download("CelebA", "img_align_celeba.zip", "CelebA", {"split": "all"}),
}


def import_by_name(
    name: str, source: Path, options: Mapping[str, Any], print_line: PrintLine
) -> ImageSource:
    """Call an importer with `print_line` and the options that it has parameters for."""
    importer = IMPORTERS[name]
    parameters = signature(importer).parameters
    given = {**options, "print_line": print_line}
    return importer(source, **{name: given[name] for name in given if name in parameters})


def download_files(name: str, folder: Path) -> None:
    """Fetch a dataset into `folder`, as torchvision lays it out; what is there is kept.

    Raises:
        UserError: No network, no torchvision, or other files arrived than were expected. It says
            which files to put into the folder by hand.
    """
    known = _DOWNLOADS[name]
    by_hand = f"Put {known.files} into {folder} by hand, and omit --download."
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--download needs a folder as --source, and {folder} is a file.")
    try:
        from torchvision import datasets
    except Exception as error:  # beside a torch of another build it raises RuntimeError
        raise UserError(
            f"--download needs torchvision, which cannot be imported here ({error}). {by_hand}"
        ) from error
    try:
        getattr(datasets, known.class_name)(str(folder), download=True, **known.options)
    except Exception as error:  # urllib, http, md5 sums and Google Drive each have errors
        reason = " ".join(str(error).split()).rstrip(" .") or type(error).__name__
        raise UserError(f"Cannot download {known.title}: {reason}. {by_hand}") from error
