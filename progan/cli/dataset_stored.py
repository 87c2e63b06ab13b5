"""dataset_tool.py create-…: of images that a tool has stored as a dataset before."""

from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_create import (
    Writing,
    on_error_option,
    source_options,
    write,
    writing_options,
)
from progan.door import Door


@click.command("create-from-tfrecords", cls=Door)
@source_options("Folder with the files NAME-rNN.tfrecords and perhaps NAME-rxx.labels.")
@writing_options
@on_error_option
def create_from_tfrecords(
    source: Path, dest: Path, holdout: float, how: Writing, on_error: str, **taken: Any
) -> None:
    """Make a dataset of the official tool's TFRecords; TensorFlow is not needed.

    It needs the package google-crc32c: pip install google-crc32c.
    """
    from progan.data.importers.tfrecords import import_tfrecords

    images = import_tfrecords(source, **taken)
    options = {"source": source, **taken, "holdout": holdout, "on_error": on_error}
    write(images, dest, how, options, on_error)


@click.command("create-from-hdf5", cls=Door)
@source_options("File of HDF5; labels are taken from NAME-labels.npy beside it, if it is there.")
@click.option("--key", metavar="NAME", help="Images to take, uint8 in NCHW, NHWC or NHW; the "
              "largest of data4x4, data8x8 and so on if not given.")
@click.option("--labels-key", metavar="NAME", help="Labels to take, of the same file.")
@writing_options
@on_error_option
def create_from_hdf5(
    source: Path, dest: Path, holdout: float, how: Writing, on_error: str, **options: Any
) -> None:
    """Make a dataset of images in an HDF5 file, of the official tool or any other.

    It needs the package h5py: pip install h5py.
    """
    from progan.data.importers.hdf5 import import_hdf5

    images = import_hdf5(source, **options)
    recorded = {"source": source, **options, "holdout": holdout, "on_error": on_error}
    write(images, dest, how, recorded, on_error)


@click.command("create-from-dataset", cls=Door)
@source_options("Dataset made by this tool. What it holds out stays held out, unless --holdout "
                "draws anew.")
@click.option("--resolution", type=int, help="Highest level to take; the top one if not given.")
@writing_options
def create_from_dataset(
    source: Path, dest: Path, holdout: float, how: Writing, **options: Any
) -> None:
    """Make a dataset of the lower levels, or of a part, of another one."""
    from progan.data.importers.dataset import import_dataset

    images = import_dataset(source, **options)
    write(images, dest, how, {"source": source, **options, "holdout": holdout})


STORED_COMMANDS = (create_from_tfrecords, create_from_hdf5, create_from_dataset)
