"""The create-… commands of known datasets and file formats, made from one table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_options import (
    Writing,
    add_writing_options,
    combine_options,
    dest_option,
    holdout_option,
    make_num_images_options,
    make_resize_filter_option,
    make_resolution_option,
    make_source_option,
    max_images_option,
    on_error_option,
    print_line,
    selection_seed_option,
    write_and_report,
)
from progan.command import Command, FiniteRange


@dataclass(frozen=True, slots=True)
class _Import:
    """A command that imports a known dataset or a file format.

    Attributes:
        source: Help of --source.
        selection: Options of which images are taken.
        options: Further options of this command.
        on_error: It has the option --on-error.
        download: It has the option --download.
    """

    name: str
    help: str
    source: str
    selection: tuple[Any, ...] = (max_images_option, selection_seed_option)
    options: tuple[Any, ...] = ()
    on_error: bool = False
    download: bool = False


def _make_number_option(name: str, type: Any, default: float, help: str) -> Any:
    """Return a click option that shows its default."""
    return click.option(name, type=type, default=default, show_default=True, help=help)


# fmt: off
_IMPORTS = (
    _Import("mnist", "Make a dataset of MNIST, 32x32 grey with labels.",
        "Folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.", download=True),
    _Import("mnist-rgb", "Make a dataset of three random digits each, red, green and blue.\n\n"
        "Its thousand classes show which modes a generator has lost.",
        "The same folder as for create-mnist.",
        selection=make_num_images_options(1_000_000, "triples of digits", 123,
            "Another seed selects other triples, and other ones to hold out.")),
    _Import("cifar10", "Make a dataset of CIFAR-10, 32x32 RGB with labels.",
        "Folder cifar-10-batches-py or file cifar-10-python.tar.gz.", download=True),
    _Import("cifar100", "Make a dataset of CIFAR-100, 32x32 RGB with its fine labels.",
        "Folder cifar-100-python or file cifar-100-python.tar.gz.", download=True),
    _Import("svhn", "Make a dataset of SVHN's cropped digits, 32x32 RGB with labels.",
        "File train_32x32.mat, the cropped digits, or its folder.", download=True),
    _Import("celeba", "Make a dataset of aligned CelebA, faces cropped to 128x128 RGB.",
        "Folder img_align_celeba, its zip file, or a folder that has one of them.",
        options=(
            _make_number_option("--cx", click.IntRange(64, 114), 89,
                "Middle of the crop, in pixels from the left."),
            _make_number_option("--cy", click.IntRange(64, 154), 121,
                "Middle of the crop, in pixels from the top.")),
        on_error=True, download=True),
    _Import("lsun", "Make a dataset of one category of LSUN, the middle of each photograph.\n\n"
        "It needs the package lmdb: pip install lmdb.",
        "Folder of one category, such as bedroom_train_lmdb, with its data.mdb.",
        options=(make_resolution_option(256), make_resize_filter_option("lanczos")), on_error=True),
    _Import("cub200",
        "Make a dataset of Caltech-UCSD Birds 2011, cropped to their bounding boxes, with labels.",
        "Folder CUB_200_2011, unpacked.",
        options=(
            make_resolution_option(64),
            _make_number_option("--padding", FiniteRange(0, 1), 0.25,
                "How much larger than its bounding box the crop of a bird is."),
            make_resize_filter_option("box")),
        on_error=True),
    _Import("from-tfrecords",
        "Make a dataset of the official tool's TFRecords; TensorFlow is not needed.\n\n"
        "It needs the package google-crc32c: pip install google-crc32c.",
        "Folder with the files NAME-rNN.tfrecords and perhaps NAME-rxx.labels.", on_error=True),
    _Import("from-hdf5",
        "Make a dataset of images in an HDF5 file, of the official tool or any other.\n\n"
        "It needs the package h5py: pip install h5py.",
        "File of HDF5; labels are taken from NAME-labels.npy beside it, if it is there.",
        options=(
            click.option("--key", metavar="NAME",
                help="Images to take, uint8 in NCHW, NHWC or NHW; the largest of data4x4, data8x8 "
                "and so on if not given."),
            click.option("--labels-key", metavar="NAME", help="Labels to take, of the same file.")),
        on_error=True),
    _Import("from-dataset", "Make a dataset of the lower levels, or of a part, of another one.",
        "Dataset made by this tool. What it holds out stays held out, unless --holdout selects "
        "other images.",
        options=(click.option("--resolution", type=int,
            help="Highest level to take; the top one if not given."),)),
)
# fmt: on


def _make_import_command(row: _Import) -> click.Command:
    """Make the command of one row of the table."""

    def run(source: Path, dest: Path, holdout: float, how: Writing, **options: Any) -> None:
        from progan.data.importers.catalog import download_files, import_by_name

        if options.pop("download", False):
            download_files(row.name, source)
        images = import_by_name(row.name, source, options, print_line)
        recorded = {"source": source, **options, "holdout": holdout}
        write_and_report(images, dest, how, recorded, options.get("on_error", "stop"))

    download_option = click.option(
        "--download",
        is_flag=True,
        help="Fetch the original files into the folder --source "
        "first; those that are there are kept.",
    )
    add_options = combine_options(
        make_source_option(row.source),
        dest_option,
        *row.selection,
        holdout_option,
        *row.options,
        add_writing_options,
        *([download_option] if row.download else []),
        *([on_error_option] if row.on_error else []),
    )
    return click.command(f"create-{row.name}", cls=Command, help=row.help)(add_options(run))


IMPORT_COMMANDS = tuple(map(_make_import_command, _IMPORTS))
