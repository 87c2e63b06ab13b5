"""The create-… commands of dataset_tool.py."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progan.door import PATH, Door
from progan.runtime.files import human_bytes, require_vacant

if TYPE_CHECKING:
    from progan.data.source import ImageSource

F = TypeVar("F", bound=Callable[..., Any])

CONTINUES = "The same command continues where this one stopped."

dest_option = click.option("--dest", type=PATH, required=True,
                           help="Folder to create; it must not exist or be empty.")
workers_option = click.option("--workers", type=click.IntRange(min=1), default=os.cpu_count() or 1,
                              help="Images that are read at the same time; as many as there are "
                                   "processors if not given.")
on_error_option = click.option("--on-error", type=click.Choice(["stop", "skip"]), default="stop",
                               show_default=True,
                               help="What to do about an image that cannot be read; skipped ones "
                                    "are listed.")


def _fraction(_: click.Context, __: click.Parameter, value: float) -> float:
    if not 0 <= value < 1:  # click.FloatRange lets NaN pass
        raise click.BadParameter(f"{value} is not in the range 0<=x<1.")
    return value


holdout_option = click.option("--holdout", type=float, default=0.0, show_default=True,
                              metavar="FRACTION", callback=_fraction,
                              help="Keep this part of the images away from training, to measure "
                                   "with. They are drawn with --seed, or with seed 0.")


def source_options(what: str) -> Callable[[F], F]:
    """Options of a command that reads images from `what`."""
    def decorate(command: F) -> F:
        command = holdout_option(command)
        command = click.option("--seed", type=click.IntRange(0, 2**32 - 1),
                               help="Draw the images of --max-images with this seed, instead of "
                                    "taking the first ones.")(command)
        command = click.option("--max-images", type=click.IntRange(min=1),
                               help="Take at most so many images.")(command)
        command = dest_option(command)
        return click.option("--source", type=PATH, required=True, help=what)(command)
    return decorate


@click.command("create-from-images", cls=Door)
@source_options("Folder, with all folders in it, or zip file.")
@click.option("--resolution", type=int, help="Side of the images in pixels, a power of two from 4 "
              "to 1024; if not given, the largest that no image has to be enlarged for.")
@click.option("--crop", type=click.Choice(["center", "pad", "stretch"]), default="center",
              show_default=True, help="How images become square: cut out the middle, add black "
                                      "borders, or distort.")
@click.option("--resize-filter", type=click.Choice(["lanczos", "box"]), default="lanczos",
              show_default=True, help="How images are resized.")
@click.option("--channels", type=click.Choice(["1", "3", "4"]), callback=lambda _, __, text: (
              int(text) if text else None), help="Convert all images to grey (1), RGB (3) or RGBA "
              "(4); needed only if they differ.")
@click.option("--labels", type=click.Choice(["auto", "folders", "none"]), default="auto",
              show_default=True, help="Class labels from the names of folders; auto: if all images "
              "are in such folders.")
@workers_option
@on_error_option
def create_from_images(
    source: Path, dest: Path, holdout: float, workers: int, **options: Any
) -> None:
    """Make a dataset of a folder or zip file of images.

    They may have any size and kind: see --crop, --resolution and --channels.
    """
    require_vacant(dest)
    from progan.data.importers.images import ImageOptions, import_images

    images = import_images(source, ImageOptions(**options), click.echo)
    recorded = {"source": str(source), **dict(sorted({**options, "holdout": holdout}.items()))}
    write(images, dest, workers, recorded, options["on_error"])


@click.command("create-mnist", cls=Door)
@source_options("Folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.")
@workers_option
def create_mnist(
    source: Path, dest: Path, max_images: int | None, seed: int | None, holdout: float,
    workers: int,
) -> None:
    """Make a dataset of MNIST, 32x32 grey with labels."""
    require_vacant(dest)
    from progan.data.importers.mnist import import_mnist

    images = import_mnist(source, max_images=max_images, seed=seed)
    options = {"source": str(source), "max_images": max_images, "seed": seed, "holdout": holdout}
    write(images, dest, workers, options)


@click.command("create-cifar10", cls=Door)
@source_options("Folder cifar-10-batches-py or file cifar-10-python.tar.gz.")
@workers_option
def create_cifar10(
    source: Path, dest: Path, max_images: int | None, seed: int | None, holdout: float,
    workers: int,
) -> None:
    """Make a dataset of CIFAR-10, 32x32 RGB with labels."""
    require_vacant(dest)
    from progan.data.importers.cifar10 import import_cifar10

    images = import_cifar10(source, max_images=max_images, seed=seed)
    options = {"source": str(source), "max_images": max_images, "seed": seed, "holdout": holdout}
    write(images, dest, workers, options)


@click.command("create-demo", cls=Door)
@dest_option
@click.option("--resolution", type=int, default=64, show_default=True,
              help="Side of the images in pixels, a power of two from 4 to 1024.")
@click.option("--num-images", type=click.IntRange(min=1), default=10000, show_default=True,
              help="How many portraits to draw.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Another seed draws other people.")
@holdout_option
@workers_option
def create_demo(
    dest: Path, resolution: int, num_images: int, seed: int, holdout: float, workers: int
) -> None:
    """Make a dataset of drawn portraits.

    There is nothing to download: it is there to try everything with.
    """
    require_vacant(dest)
    from progan.data.importers.demo import import_demo

    images = import_demo(resolution=resolution, num_images=num_images, seed=seed)
    options = {"resolution": resolution, "num_images": num_images, "seed": seed,
               "holdout": holdout}
    write(images, dest, workers, options)


CREATE_COMMANDS = (create_from_images, create_mnist, create_cifar10, create_demo)


def write(
    source: "ImageSource", dest: Path, workers: int, options: dict[str, Any],
    on_error: Any = "stop",
) -> None:
    """Write a dataset and say what it holds."""
    from progan.data.importers.preflight import listed
    from progan.data.writer import write_dataset

    start = time.monotonic()
    try:
        info = write_dataset(source, dest, options=options, workers=workers, on_error=on_error,
                             holdout=options["holdout"], seed=options["seed"] or 0)
    except KeyboardInterrupt:
        click.echo(CONTINUES, err=True)
        raise
    seconds = time.monotonic() - start
    if info.skipped:
        click.echo(f"{len(info.skipped)} images were left out:\n{listed(info.skipped)}", err=True)
    size = human_bytes(sum(file.num_bytes for file in info.array_files()))
    click.echo(f"{dest}: {info.count:,} images {info.resolution}x{info.resolution}x{info.channels}"
               f", {size}, in {seconds:.1f} s ({info.count / seconds:,.0f} images/s).")
