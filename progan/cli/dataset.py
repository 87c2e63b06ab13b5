"""dataset_tool.py: commands that inspect, verify, extract and compare datasets."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from progan.cli.dataset_create import CREATE_COMMANDS
from progan.cli.dataset_import import IMPORT_COMMANDS
from progan.cli.dataset_options import PathOrUrl, workers_option
from progan.command import PATH, CommandGroup
from progan.errors import UserError
from progan.runtime.files import require_place_for_folder, require_writable_file
from progan.runtime.text import format_count, make_safe_file_name
from progan.sizes import Size

if TYPE_CHECKING:
    from progan.data.importers.remote import Url


@click.group(cls=CommandGroup)
def main() -> None:
    """Make datasets for train.py, look at them, and check them."""


for _command in (*CREATE_COMMANDS, *IMPORT_COMMANDS):
    main.add_command(_command)


@main.command()
@click.argument("dataset", type=PATH)
def info(dataset: Path) -> None:
    """Describe what a dataset holds and how it was made."""
    from progan.data.reader import Dataset
    from progan.data.summary import describe_dataset

    click.echo(describe_dataset(Dataset.open(dataset)))


@main.command()
@click.argument("source", type=PathOrUrl())
@click.option(
    "--resolution",
    type=click.IntRange(min=1),
    help="Name images that are smaller than this, in pixels.",
)
@click.option("--size", metavar="WIDTHxHEIGHT", help="The same for images that are not square.")
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Write all problems to it.")
@workers_option
def check(
    source: "Path | Url",
    resolution: int | None,
    size: str | None,
    json_file: Path | None,
    workers: int,
) -> None:
    """Decode every image of a folder, zip or tar file, or of its URL, and list all problems.

    The exit code is 0 if create-from-images takes every image as it is, and 1 if it would stop,
    or leave out an image or the labels. Warnings and notes do not change it.
    """
    from progan.data.importers.check_images import check_images, format_report, report_to_json
    from progan.runtime.files import write_atomically
    from progan.runtime.text import escape_controls
    from progan.sizes import parse_size

    if resolution is not None and size is not None:
        raise UserError("--resolution is for squares, and --size for any images: name one of them.")
    if json_file is not None:
        require_writable_file(json_file, "--json")
    square = None if resolution is None else Size(resolution, resolution)
    report = check_images(source, size=parse_size(size) if size else square, workers=workers)
    if json_file is not None:
        write_atomically(json_file, report_to_json(source, report))
    click.echo(escape_controls(format_report(source, report), keep="\n"))
    if report.loses_something:
        raise click.exceptions.Exit(1)


@main.command()
@click.option("--source", type=PATH, required=True, help="Dataset.")
@click.option("--dest", type=PATH, required=True, help="Folder to create.")
@click.option("--resolution", type=int, help="Write this level; the top one if not given.")
@workers_option
def extract(source: Path, dest: Path, resolution: int | None, workers: int) -> None:
    """Write the images of a dataset as PNG files, with a folder for each class."""
    require_place_for_folder(dest, "--dest")
    from progan.data.extract import describe_renamed_folders, extract_images
    from progan.data.reader import Dataset

    dataset = Dataset.open(source)
    level = dataset.choose_level(resolution)
    written = extract_images(dataset, dest, level, workers)
    for line in describe_renamed_folders(written, dest):
        click.echo(line, err=True)
    images = format_count(written.num_images, "image")
    click.echo(f"{dest}: {images} of {dataset.info.size(level)}.")


@main.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
def compare(first: Path, second: Path) -> None:
    """Compare two datasets image by image. The exit code is 1 if they differ."""
    from progan.data.reader import Dataset
    from progan.data.summary import compare_datasets, describe_difference

    found = compare_datasets(Dataset.open(first), Dataset.open(second))
    click.echo(describe_difference(found))
    if found.rows or found.labels:
        raise click.exceptions.Exit(1)


@main.command()
@click.argument("dataset", type=PATH)
@click.option(
    "--merge",
    is_flag=True,
    help="First make it of its parts, which create-… --shard made beside it.",
)
def verify(dataset: Path, merge: bool) -> None:
    """Compare the files of a dataset with their checksums."""
    from progan.data.format import read_info
    from progan.data.reader import require_undamaged

    if merge:
        from progan.data import shards

        require_place_for_folder(dataset, "DATASET")
        info = shards.merge_shards(dataset)
        click.echo(
            f"{dataset}: {format_count(info.count, 'image')}. The parts, "
            f"{dataset}.part-*, are not needed any more."
        )
    described = read_info(dataset)
    require_undamaged(dataset, described)
    click.echo(
        f"{dataset}: all {format_count(len(described.list_array_files()), 'file')} are as they "
        "were written."
    )


# fmt: off
@main.command()
@click.argument("dataset", type=PATH)
@click.option("--num", type=click.IntRange(min=1), default=64, show_default=True,
    help="How many images to show.")
@click.option("--resolution", type=int, help="Show this level; the top one if not given.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1),
    help="Select the images at random with this seed, instead of spreading them evenly.")
@click.option("--out", type=PATH, help="PNG file to write; <name>-sheet.png if not given.")
# fmt: on
def display(
    dataset: Path, num: int, resolution: int | None, seed: int | None, out: Path | None
) -> None:
    """Write a sheet of images, and print its path."""
    from progan.data.reader import Dataset
    from progan.data.summary import make_contact_sheet, select_display_rows
    from progan.runtime.files import atomic_path

    opened = Dataset.open(dataset)
    out = out or Path(f"{make_safe_file_name(opened.name, 'dataset')}-sheet.png")
    require_writable_file(out, "--out", suffix=".png")
    level = opened.choose_level(resolution)
    page = make_contact_sheet(opened.images(level, select_display_rows(len(opened), num, seed)))
    with atomic_path(out) as temporary:
        page.save(temporary, format="PNG")
    click.echo(out)
