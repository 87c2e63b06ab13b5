"""dataset_tool.py create-…: datasets that everybody knows, in their original files."""

from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_create import (
    dest_option,
    holdout_option,
    source_options,
    workers_option,
    write,
)
from progan.door import PATH, Door
from progan.runtime.files import require_vacant


@click.command("create-mnist", cls=Door)
@source_options("Folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.")
@workers_option
def create_mnist(source: Path, dest: Path, holdout: float, workers: int, **taken: Any) -> None:
    """Make a dataset of MNIST, 32x32 grey with labels."""
    require_vacant(dest)
    from progan.data.importers.mnist import import_mnist

    images = import_mnist(source, **taken)
    write(images, dest, workers, {"source": source, **taken, "holdout": holdout})


@click.command("create-mnist-rgb", cls=Door)
@click.option("--source", type=PATH, required=True, help="The same folder as for create-mnist.")
@dest_option
@click.option("--num-images", type=click.IntRange(min=1), default=1_000_000, show_default=True,
              help="How many triples of digits to draw.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=123, show_default=True,
              help="Another seed draws other triples, and other ones to hold out.")
@holdout_option
@workers_option
def create_mnist_rgb(
    source: Path, dest: Path, num_images: int, seed: int, holdout: float, workers: int
) -> None:
    """Make a dataset of three random digits each, red, green and blue.

    Its thousand classes show which modes a generator has lost.
    """
    require_vacant(dest)
    from progan.data.importers.mnist_rgb import import_mnist_rgb

    images = import_mnist_rgb(source, num_images=num_images, seed=seed)
    write(images, dest, workers, {"source": source, "num_images": num_images, "seed": seed,
                                  "holdout": holdout})


@click.command("create-cifar10", cls=Door)
@source_options("Folder cifar-10-batches-py or file cifar-10-python.tar.gz.")
@workers_option
def create_cifar10(source: Path, dest: Path, holdout: float, workers: int, **taken: Any) -> None:
    """Make a dataset of CIFAR-10, 32x32 RGB with labels."""
    require_vacant(dest)
    from progan.data.importers.cifar import CIFAR10, import_cifar

    images = import_cifar(source, CIFAR10, **taken)
    write(images, dest, workers, {"source": source, **taken, "holdout": holdout})


@click.command("create-cifar100", cls=Door)
@source_options("Folder cifar-100-python or file cifar-100-python.tar.gz.")
@workers_option
def create_cifar100(source: Path, dest: Path, holdout: float, workers: int, **taken: Any) -> None:
    """Make a dataset of CIFAR-100, 32x32 RGB with its fine labels."""
    require_vacant(dest)
    from progan.data.importers.cifar import CIFAR100, import_cifar

    images = import_cifar(source, CIFAR100, **taken)
    write(images, dest, workers, {"source": source, **taken, "holdout": holdout})


@click.command("create-svhn", cls=Door)
@source_options("File train_32x32.mat, the cropped digits, or its folder.")
@workers_option
def create_svhn(source: Path, dest: Path, holdout: float, workers: int, **taken: Any) -> None:
    """Make a dataset of SVHN's cropped house numbers, 32x32 RGB with labels."""
    require_vacant(dest)
    from progan.data.importers.svhn import import_svhn

    images = import_svhn(source, **taken)
    write(images, dest, workers, {"source": source, **taken, "holdout": holdout})


KNOWN_COMMANDS = (create_mnist, create_mnist_rgb, create_cifar10, create_cifar100, create_svhn)
