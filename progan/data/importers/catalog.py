"""Importers of known datasets and file formats by name, and downloads of the original files.

Only this file imports torchvision, and only to download: a CPU-only torch cannot import it.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from progan.data.image_source import ImageSource
from progan.data.importers.array_datasets import (
    import_cifar10,
    import_cifar100,
    import_mnist,
    import_mnist_rgb,
    import_svhn,
)
from progan.data.importers.hdf5 import import_hdf5
from progan.data.importers.photo_datasets import import_celeba, import_cub200, import_lsun
from progan.data.importers.progan_dataset import import_dataset
from progan.data.importers.tfrecords import import_tfrecords
from progan.errors import UserError

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
    files: str  # that are needed
    fetch: Callable[[Any, str], object]  # takes torchvision.datasets, and the folder


_DOWNLOADS: dict[str, _Download] = {
    "mnist": _Download(
        "MNIST",
        "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
        lambda datasets, root: datasets.MNIST(root, train=True, download=True),
    ),
    "cifar10": _Download(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        lambda datasets, root: datasets.CIFAR10(root, train=True, download=True),
    ),
    "cifar100": _Download(
        "CIFAR-100",
        "cifar-100-python.tar.gz",
        lambda datasets, root: datasets.CIFAR100(root, train=True, download=True),
    ),
    "svhn": _Download(
        "SVHN",
        "train_32x32.mat",
        lambda datasets, root: datasets.SVHN(root, split="train", download=True),
    ),
    "celeba": _Download(
        "CelebA",
        "img_align_celeba.zip",
        lambda datasets, root: datasets.CelebA(root, split="all", download=True),
    ),
}


def import_by_name(
    name: str, source: Path, options: Mapping[str, Any], say: Callable[[str], None]
) -> ImageSource:
    """Call an importer with those options that it has parameters for, and `say` if it logs."""
    importer = IMPORTERS[name]
    accepted = {**options, "say": say}
    for option in set(accepted) - set(signature(importer).parameters):
        del accepted[option]
    return importer(source, **accepted)


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
        known.fetch(datasets, str(folder))
    except Exception as error:  # urllib, http, md5 sums and Google Drive each have errors
        reason = " ".join(str(error).split()).rstrip(" .") or type(error).__name__
        raise UserError(f"Cannot download {known.title}: {reason}. {by_hand}") from error
