"""dataset_tool.py create-…: datasets that everybody knows, in their original files."""

from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_create import source_options, workers_option, write
from progan.door import Door
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


@click.command("create-cifar10", cls=Door)
@source_options("Folder cifar-10-batches-py or file cifar-10-python.tar.gz.")
@workers_option
def create_cifar10(source: Path, dest: Path, holdout: float, workers: int, **taken: Any) -> None:
    """Make a dataset of CIFAR-10, 32x32 RGB with labels."""
    require_vacant(dest)
    from progan.data.importers.cifar10 import import_cifar10

    images = import_cifar10(source, **taken)
    write(images, dest, workers, {"source": source, **taken, "holdout": holdout})


KNOWN_COMMANDS = (create_mnist, create_cifar10)
