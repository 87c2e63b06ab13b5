"""Fetch the original files of well-known datasets, with torchvision's downloaders.

This is the only file that imports torchvision, and only when it is asked to download: a CPU-only
torch cannot import it, and everything else has to work there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from progan.errors import UserError

Known = Literal["mnist", "cifar10", "cifar100", "svhn", "celeba"]


@dataclass(frozen=True, slots=True)
class _Origin:
    """How a dataset is called, what is needed of it, and what fetches it."""

    title: str
    files: str
    fetch: Callable[[Any, str], object]  # torchvision.datasets, and the folder


_ORIGINS: dict[Known, _Origin] = {
    "mnist": _Origin(
        "MNIST",
        "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
        lambda datasets, root: datasets.MNIST(root, train=True, download=True),
    ),
    "cifar10": _Origin(
        "CIFAR-10",
        "cifar-10-python.tar.gz",
        lambda datasets, root: datasets.CIFAR10(root, train=True, download=True),
    ),
    "cifar100": _Origin(
        "CIFAR-100",
        "cifar-100-python.tar.gz",
        lambda datasets, root: datasets.CIFAR100(root, train=True, download=True),
    ),
    "svhn": _Origin(
        "SVHN",
        "train_32x32.mat",
        lambda datasets, root: datasets.SVHN(root, split="train", download=True),
    ),
    "celeba": _Origin(
        "CelebA",
        "img_align_celeba.zip",
        lambda datasets, root: datasets.CelebA(root, split="all", download=True),
    ),
}


def download(name: Known, folder: Path) -> None:
    """Fetch a dataset into `folder`, as torchvision lays it out; what is there is kept.

    Raises:
        UserError: No network, no torchvision, or other files arrived than were expected. It says
            which files to put into the folder by hand.
    """
    origin = _ORIGINS[name]
    by_hand = f"Put {origin.files} into {folder} by hand, and leave --download away."
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--download needs a folder as --source, and {folder} is a file.")
    try:
        from torchvision import datasets
    except Exception as error:  # beside a torch of another build it raises RuntimeError
        raise UserError(
            f"--download needs torchvision, which cannot be imported here ({error}). {by_hand}"
        ) from error
    try:
        origin.fetch(datasets, str(folder))
    except Exception as error:  # urllib, http, md5 sums and Google Drive each have errors
        reason = " ".join(str(error).split()).rstrip(" .") or type(error).__name__
        raise UserError(f"Cannot download {origin.title}: {reason}. {by_hand}") from error
