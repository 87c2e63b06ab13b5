"""dataset_tool.py: make datasets, look at them, and check them."""

from pathlib import Path

import click

from progan.cli.dataset_create import CREATE_COMMANDS
from progan.cli.dataset_known import KNOWN_COMMANDS
from progan.cli.dataset_stored import STORED_COMMANDS
from progan.config import level_of
from progan.door import PATH, DoorGroup
from progan.errors import UserError


@click.group(cls=DoorGroup)
def main() -> None:
    """Make datasets for train.py, look at them, and check them."""


for _command in (*CREATE_COMMANDS, *KNOWN_COMMANDS, *STORED_COMMANDS):
    main.add_command(_command)


@main.command()
@click.argument("dataset", type=PATH)
def info(dataset: Path) -> None:
    """Say what a dataset holds and how it was made."""
    from progan.data.reader import Dataset
    from progan.data.summary import summary

    click.echo(summary(Dataset.open(dataset)))


@main.command()
@click.argument("dataset", type=PATH)
def verify(dataset: Path) -> None:
    """Compare the files of a dataset with their checksums."""
    from progan.data.format import read_info
    from progan.data.integrity import damaged_files

    described = read_info(dataset)
    faults = damaged_files(dataset, described)
    if faults:
        raise UserError(f"{dataset} is damaged:\n  " + "\n  ".join(faults) + "\nCopy these files "
                        "again, or make the dataset again.")
    click.echo(f"{dataset}: all {len(described.array_files())} files are as they were written.")


@main.command()
@click.argument("dataset", type=PATH)
@click.option("--num", type=click.IntRange(min=1), default=64, show_default=True,
              help="How many images to show.")
@click.option("--resolution", type=int, help="Show this level; the top one if not given.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1),
              help="Draw the images with this seed, instead of spreading them evenly.")
@click.option("--out", type=PATH, help="PNG file to write; <name>-sheet.png if not given.")
def display(
    dataset: Path, num: int, resolution: int | None, seed: int | None, out: Path | None
) -> None:
    """Write a sheet of images, and print its path."""
    from progan.data.reader import Dataset
    from progan.data.sheet import sheet, shown_rows
    from progan.runtime.files import replaced

    opened = Dataset.open(dataset)
    sizes = [2**level for level in opened.info.levels]
    resolution = opened.resolution if resolution is None else resolution
    if resolution not in sizes:
        raise UserError(f"{dataset} has no images of {resolution}x{resolution}; --resolution is "
                        f"one of {', '.join(map(str, sizes))}.")
    page = sheet(opened.images(level_of(resolution), shown_rows(len(opened), num, seed)))
    out = out or Path(f"{opened.name}-sheet.png")
    with replaced(out) as temporary:
        page.save(temporary, format="PNG")
    click.echo(out)
