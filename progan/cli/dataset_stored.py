"""dataset_tool.py create-…: of images that a tool has stored as a dataset before."""

from pathlib import Path
from typing import Any

import click

from progan.cli.dataset_create import on_error_option, source_options, workers_option, write
from progan.door import Door
from progan.runtime.files import require_vacant


@click.command("create-from-tfrecords", cls=Door)
@source_options("Folder with the files NAME-rNN.tfrecords and perhaps NAME-rxx.labels.")
@workers_option
@on_error_option
def create_from_tfrecords(
    source: Path, dest: Path, holdout: float, workers: int, on_error: str, **taken: Any
) -> None:
    """Make a dataset of the official tool's TFRecords; TensorFlow is not needed."""
    require_vacant(dest)
    from progan.data.importers.tfrecords import import_tfrecords

    images = import_tfrecords(source, **taken)
    options = {"source": source, **taken, "holdout": holdout, "on_error": on_error}
    write(images, dest, workers, options, on_error)


STORED_COMMANDS = (create_from_tfrecords,)
