"""dataset_tool.py create-…: what these commands share, and those of any images and of none."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from progan.command import PATH, Command
from progan.runtime.files import human_bytes, require_empty, require_writable_folder, staging_path
from progan.runtime.text import format_count, pluralize

if TYPE_CHECKING:
    from progan.data.format import SkippedImage
    from progan.data.image_source import ImageSource

F = TypeVar("F", bound=Callable[..., Any])

CONTINUES = "The same command continues where this one stopped."

dest_option = click.option(
    "--dest", type=PATH, required=True, help="Folder to create; it must not exist or be empty."
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=os.cpu_count() or 1,
    help="Images that are read at the same time; as many as there are processors if not given.",
)
on_error_option = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    show_default=True,
    help="What to do about an image that cannot be read; skipped ones are listed.",
)


def _fraction(_: click.Context, __: click.Parameter, value: float) -> float:
    if not 0 <= value < 1:  # click.FloatRange lets NaN pass
        raise click.BadParameter(f"{value} is not in the range 0<=x<1.")
    return value


def _positive(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise click.BadParameter(f"{value} is not a positive number.")
    return value


holdout_option = click.option(
    "--holdout",
    type=float,
    default=0.0,
    show_default=True,
    metavar="FRACTION",
    callback=_fraction,
    help="Keep this part of the images away from training, to measure "
    "with. They are drawn with --seed, or with seed 0.",
)


def resolution_option(default: int) -> Callable[[F], F]:
    return click.option(
        "--resolution",
        type=int,
        default=default,
        show_default=True,
        help="Side of the images in pixels, a power of two from 4 to 1024.",
    )


def resize_filter_option(default: str) -> Callable[[F], F]:
    return click.option(
        "--resize-filter",
        type=click.Choice(["lanczos", "box"]),
        default=default,
        show_default=True,
        help="How images are resized.",
    )


def source_options(what: str) -> Callable[[F], F]:
    """Options of a command that reads images from `what`."""

    def decorate(command: F) -> F:
        command = holdout_option(command)
        command = click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            help="Draw the images of --max-images with this seed, instead of "
            "taking the first ones.",
        )(command)
        command = click.option(
            "--max-images", type=click.IntRange(min=1), help="Take at most so many images."
        )(command)
        command = dest_option(command)
        return click.option("--source", type=PATH, required=True, help=what)(command)

    return decorate


@dataclass(frozen=True, slots=True)
class Writing:
    """How a dataset is written, whatever its images are."""

    workers: int
    compress: bool
    shard: str | None


def writing_options(command: F) -> F:
    """The options of `Writing`, which the command gets as `how` if nothing is in its way."""

    @wraps(command)
    def wrapped(dest: Path, workers: int, compress: bool, shard: str | None, **options: Any) -> Any:
        require_empty(dest)
        require_writable_folder(dest, "--dest")
        if shard is not None:
            from progan.data.shards import DatasetShard

            DatasetShard.parse(
                shard
            )  # a typing error is told before ten million images are looked at
        return command(dest=dest, how=Writing(workers, compress, shard), **options)

    for option in (
        click.option(
            "--shard",
            metavar="I/N",
            help="Make only the I-th of N equal parts, beside "
            "the destination; dataset_tool.py verify --merge puts them together.",
        ),
        click.option(
            "--compress",
            is_flag=True,
            help="Store levels above 128x128 losslessly "
            "compressed: a third of the size, and slower to read.",
        ),
        workers_option,
    ):
        wrapped = option(wrapped)
    return cast(F, wrapped)


def write(
    source: "ImageSource", dest: Path, how: Writing, options: dict[str, Any], on_error: Any = "stop"
) -> None:
    """Write the dataset with its options recorded, and say what was written and left out."""
    from progan.data.image_source import format_skipped
    from progan.data.reader import Dataset
    from progan.data.shards import DatasetShard, select_shard
    from progan.data.summary import describe_empty_classes, find_empty_classes
    from progan.data.writer import write_dataset

    if how.shard is not None:
        part = DatasetShard.parse(how.shard)
        source, dest = select_shard(source, part), part.folder(dest.resolve())
        require_empty(dest)
    start = time.monotonic()
    recorded = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in sorted({**options, "compress": how.compress}.items())
    }
    try:
        info = write_dataset(
            source,
            dest,
            options=recorded,
            workers=how.workers,
            on_error=on_error,
            holdout=options["holdout"],
            seed=options["seed"] or 0,
            compress=how.compress,
            say_doubtful=_warn,
            say=click.echo,
        )
    except (KeyboardInterrupt, OSError):
        if staging_path(dest).is_dir():
            click.echo(CONTINUES, err=True)
        raise
    seconds = time.monotonic() - start
    if info.skipped:
        num_skipped = len(info.skipped)
        click.echo(
            f"{format_count(num_skipped, 'image')} {pluralize(num_skipped, 'was', 'were')} "
            f"left out:\n{format_skipped(info.skipped)}",
            err=True,
        )
    if how.shard is None and (without := find_empty_classes(Dataset.open(dest))):
        click.echo(describe_empty_classes(Dataset.open(dest), without), err=True)
    size = human_bytes(info.num_bytes)
    click.echo(
        f"{dest}: {format_count(info.count, 'image')} {info.top_size}x{info.channels}"
        f", {size}, in {seconds:.1f} s ({info.count / seconds:,.0f} images/s)."
    )


def _warn(doubtful: "Sequence[SkippedImage]") -> None:
    from progan.data.image_source import format_skipped

    are = "image is" if len(doubtful) == 1 else "images are"
    they = "it is" if len(doubtful) == 1 else "they are"
    click.echo(
        f"{len(doubtful)} {are} in the dataset though {they} suspicious:\n"
        f"{format_skipped(doubtful)}\nLeave such images out with --on-error skip.",
        err=True,
    )


@click.command("create-from-images", cls=Command)
@source_options("Folder, with all folders in it, or zip file.")
@click.option(
    "--resolution",
    type=int,
    help="Side of the images in pixels, a power of two from 4 "
    "to 1024; if not given, the largest that no image has to be enlarged for.",
)
@click.option(
    "--size",
    metavar="WIDTHxHEIGHT",
    help="The same for images that are no squares, "
    "such as 1280x768; both sides are halved until the shorter one is 4 to 7 px.",
)
@click.option(
    "--crop",
    type=click.Choice(["center", "pad", "stretch", "wide", "random"]),
    default="center",
    show_default=True,
    help="How images get their shape: cut out the "
    "middle, add black borders, distort, cut out a band of 16:9 and lay it on a black "
    "square, or cut out a part wherever --seed puts it.",
)
@resize_filter_option("lanczos")
@click.option(
    "--channels",
    type=click.Choice(["1", "3", "4"]),
    callback=lambda _, __, text: int(text) if text else None,
    help="Convert all images to grey (1), RGB (3) or RGBA (4); needed only if they differ.",
)
@click.option(
    "--alpha-color",
    metavar="COLOR",
    default="white",
    show_default=True,
    help="What transparency is laid on with --channels 1 or 3: a name or #rrggbb.",
)
@click.option(
    "--white-level",
    type=float,
    metavar="VALUE",
    callback=_positive,
    help="Grey value that becomes white in images of one channel with more than 8 bits: "
    "4095 for 12 bits stored in 16; 65535 if not given. Floating-point images need "
    "it.",
)
@click.option(
    "--labels",
    metavar="auto|folders|none|FILE",
    default="auto",
    show_default=True,
    help="Class labels from the names of folders, or from a file: .csv or .tsv with a "
    "file name and a label in each row, or StyleGAN's dataset.json. auto: by a "
    "dataset.json in the root, or else by folders if all images are in such.",
)
@writing_options
@on_error_option
def create_from_images(
    source: Path, dest: Path, holdout: float, how: Writing, **options: Any
) -> None:
    """Make a dataset of a folder or zip file of images.

    They may have any size and kind: see --crop, --resolution and --channels. With --on-error skip,
    images of one colour, and of equal files all but the first, are left out too.
    """
    from progan.data.importers.images import ImageOptions, import_images

    images = import_images(source, ImageOptions(**options), click.echo)
    write(images, dest, how, {"source": source, **options, "holdout": holdout}, options["on_error"])


@click.command("create-demo", cls=Command)
@dest_option
@resolution_option(64)
@click.option(
    "--num-images",
    type=click.IntRange(min=1),
    default=10000,
    show_default=True,
    help="How many portraits to draw.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Another seed draws other people.",
)
@holdout_option
@writing_options
def create_demo(
    dest: Path, resolution: int, num_images: int, seed: int, holdout: float, how: Writing
) -> None:
    """Make a dataset of drawn portraits.

    There is nothing to download: it is there to try everything with.
    """
    from progan.data.portraits.generate import import_demo

    images = import_demo(resolution=resolution, num_images=num_images, seed=seed)
    write(
        images,
        dest,
        how,
        {"resolution": resolution, "num_images": num_images, "seed": seed, "holdout": holdout},
    )


CREATE_COMMANDS = (create_from_images, create_demo)
