"""Options and the writing of datasets that the create-… commands of dataset_tool.py share."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from progan.command import PATH, FiniteRange
from progan.runtime.files import (
    format_bytes,
    require_absent_or_empty,
    require_place_for_folder,
    staging_path,
)
from progan.runtime.text import escape_controls, format_count, pluralize
from progan.runtime.workers import WorkerKilled

if TYPE_CHECKING:
    from progan.data.format import SkippedImage
    from progan.data.image_source import ImageSource

F = TypeVar("F", bound=Callable[..., Any])

RESUME_HINT = "The same command continues where this one stopped."

# fmt: off
dest_option = click.option("--dest", type=PATH, required=True,
    help="Folder to create; new, empty, or with what an interrupted "
    "import of the same command left.")
workers_option = click.option("--workers", type=click.IntRange(min=1), default=os.cpu_count() or 1,
    help="Images that are read at the same time; as many as there are processors if not given.")
on_error_option = click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop",
    show_default=True,
    help="What to do about an image that cannot be read; skipped ones are listed.")
holdout_option = click.option("--holdout", type=FiniteRange(0, 1, max_open=True),
    default=0.0, show_default=True, metavar="FRACTION",
    help="Fraction of the images that is kept from training, for metrics. They are selected at "
    "random with --seed, or with seed 0.")


def make_resolution_option(default: int) -> Callable[[F], F]:
    return click.option(
        "--resolution",
        type=int,
        default=default,
        show_default=True,
        help="Side of the images in pixels, a power of two from 4 to 1024.",
    )


def make_resize_filter_option(default: str) -> Callable[[F], F]:
    return click.option(
        "--resize-filter",
        type=click.Choice(["lanczos", "box"]),
        default=default,
        show_default=True,
        help="How images are resized.",
    )


class PathOrUrl(click.Path):
    """A path, or a URL such as s3://bucket/photos."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and "://" in value:
            from progan.data.importers.remote import Url

            return Url(value)
        return PATH.convert(value, param, ctx)


def make_source_option(what: str, *, may_be_url: bool = False) -> Callable[[F], F]:
    """Return --source, whose help says that it is `what`."""
    text = f"{what} Or the URL of one, such as s3://bucket/photos." if may_be_url else what
    kind = PathOrUrl() if may_be_url else PATH
    return click.option("--source", type=kind, required=True, help=text)


max_images_option = click.option("--max-images", type=click.IntRange(min=1),
    help="Take at most so many images.")
selection_seed_option = click.option("--seed", type=click.IntRange(0, 2**32 - 1),
    help="Select the images of --max-images at random with this seed, instead of the first ones.")
# fmt: on


def make_num_images_options(default: int, what: str, seed: int, seed_help: str) -> tuple[Any, Any]:
    """Return --num-images and --seed of a dataset that is generated or combined at random."""
    return (
        click.option(
            "--num-images", type=click.IntRange(min=1), default=default, show_default=True,
            help=f"Number of {what}.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**32 - 1), default=seed, show_default=True,
            help=seed_help,
        ),
    )  # fmt: skip


def combine_options(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return one decorator that adds options to a command in this order."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def add_source_options(what: str) -> Callable[[F], F]:
    """Return a decorator that adds --source (`what`), --dest and options of selection."""
    return combine_options(
        make_source_option(what, may_be_url=True),
        dest_option,
        max_images_option,
        selection_seed_option,
        holdout_option,
    )


@dataclass(frozen=True, slots=True)
class Writing:
    """Options of writing a dataset that do not depend on its images."""

    workers: int
    compress: bool
    shard: str | None


def add_writing_options(command: F, *, in_parts: bool = True) -> F:
    """Add the options of `Writing`, passed as `how`; the command runs only if --dest is free.

    Args:
        in_parts: The dataset can be made in parts (--shard).
    """

    @wraps(command)
    def check_and_write(
        dest: Path, workers: int, compress: bool, shard: str | None = None, **options: Any
    ) -> Any:
        require_place_for_folder(dest, "--dest")
        if shard is not None:
            from progan.data.shards import DatasetShard

            # A wrong spelling is refused before ten million images are read.
            DatasetShard.parse(shard)
        return command(dest=dest, how=Writing(workers, compress, shard), **options)

    compress_option = click.option(
        "--compress",
        is_flag=True,
        help="Store levels above 128x128 losslessly compressed: a third of the size, and slower to "
        "read.",
    )
    shard_option = click.option(
        "--shard",
        metavar="I/N",
        help="Make only the I-th of N equal parts, beside the destination; dataset_tool.py verify "
        "--merge puts them together.",
    )
    add_options = combine_options(
        workers_option, compress_option, *([shard_option] if in_parts else [])
    )
    return cast(F, add_options(check_and_write))


def write_and_report(
    source: "ImageSource", dest: Path, how: Writing, options: dict[str, Any], on_error: Any = "stop"
) -> None:
    """Write a dataset, or its --shard, and print what was written, left out, and lacks images."""
    from progan.data.format import INFO_FILE, WHOLE_SOURCE
    from progan.data.image_source import SourceFailure, format_skipped
    from progan.data.journal import journal_exists
    from progan.data.reader import Dataset
    from progan.data.shards import DatasetShard, describe_whole_source, select_shard
    from progan.data.summary import describe_empty_classes, find_empty_classes
    from progan.data.writer import write_dataset

    if ".." in dest.parts:  # b/../c is no path where b does not exist
        dest = dest.resolve()
    start = time.monotonic()
    recorded = {
        name: value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
        for name, value in sorted({**options, "compress": how.compress}.items())
    }
    if how.shard is not None:
        recorded[WHOLE_SOURCE] = describe_whole_source(source)
        part = DatasetShard.parse(how.shard)
        source, dest = select_shard(source, part), part.folder(dest.resolve())
        require_absent_or_empty(dest)
    is_continued = journal_exists(staging_path(dest))
    try:
        info = write_dataset(
            source, dest, options=recorded, workers=how.workers, on_error=on_error,
            holdout=options["holdout"], seed=options["seed"] or 0, compress=how.compress,
            print_doubtful=_print_doubtful_images, print_line=print_line,
        )  # fmt: skip
    except (KeyboardInterrupt, OSError, WorkerKilled, SourceFailure):
        if staging_path(dest).is_dir():
            click.echo(RESUME_HINT, err=True)
        raise
    seconds = time.monotonic() - start
    if info.skipped:
        num_skipped = len(info.skipped)
        click.echo(
            f"{format_count(num_skipped, 'image')} {pluralize(num_skipped, 'was', 'were')} "
            f"left out:\n{format_skipped(info.skipped, lister=INFO_FILE)}",
            err=True,
        )
    if how.shard is None and (without := find_empty_classes(Dataset.open(dest))):
        click.echo(describe_empty_classes(Dataset.open(dest), without), err=True)
    size = format_bytes(info.num_bytes)
    # Earlier attempts made some of the images.
    rate = "" if is_continued else f" ({info.count / seconds:,.0f} images/s)"
    print_line(
        f"{dest}: {format_count(info.count, 'image')} {info.top_size}x{info.channels}"
        f", {size}, in {seconds:.1f} s{rate}."
    )


def print_line(text: str) -> None:
    """Print a message; names of files in it cannot act on the terminal."""
    click.echo(escape_controls(text, keep="\n"))


def _print_doubtful_images(doubtful: "Sequence[SkippedImage]") -> None:
    """Print to standard error which images were written though they are doubtful."""
    from progan.data.image_source import format_skipped

    are = "image is" if len(doubtful) == 1 else "images are"
    they = "it is" if len(doubtful) == 1 else "they are"
    click.echo(
        f"{len(doubtful)} {are} in the dataset though {they} suspicious:\n"
        f"{format_skipped(doubtful)}\nLeave such images out with --on-error skip.",
        err=True,
    )
