"""dataset_tool.py create-…: datasets that everybody knows, in their original files."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from progan.cli.dataset_create import (
    CONTINUES,
    Writing,
    dest_option,
    holdout_option,
    on_error_option,
    resize_filter_option,
    resolution_option,
    source_options,
    write,
    writing_options,
)
from progan.command import PATH, Command
from progan.errors import UserError

if TYPE_CHECKING:
    from progan.data.importers.download import Known


F = TypeVar("F", bound=Callable[..., Any])


def download_option(name: "Known") -> Callable[[F], F]:
    """--download, which fetches the original files of a dataset before the command runs."""

    def decorate(command: F) -> F:
        @wraps(command)
        def wrapped(source: Path, download: bool, **options: Any) -> Any:
            if download:
                from progan.data.importers.download import download as fetch

                fetch(name, source)
            return command(source=source, **options)

        return cast(
            F,
            click.option(
                "--download",
                is_flag=True,
                help="Fetch the original files into the folder --source "
                "first; those that are there are kept.",
            )(wrapped),
        )

    return decorate


@click.command("create-mnist", cls=Command)
@source_options("Folder with train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.")
@writing_options
@download_option("mnist")
def create_mnist(source: Path, dest: Path, holdout: float, how: Writing, **taken: Any) -> None:
    """Make a dataset of MNIST, 32x32 grey with labels."""
    from progan.data.importers.mnist import import_mnist

    images = import_mnist(source, **taken)
    write(images, dest, how, {"source": source, **taken, "holdout": holdout})


@click.command("create-mnist-rgb", cls=Command)
@click.option("--source", type=PATH, required=True, help="The same folder as for create-mnist.")
@dest_option
@click.option(
    "--num-images",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    help="How many triples of digits to draw.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=123,
    show_default=True,
    help="Another seed draws other triples, and other ones to hold out.",
)
@holdout_option
@writing_options
def create_mnist_rgb(
    source: Path, dest: Path, num_images: int, seed: int, holdout: float, how: Writing
) -> None:
    """Make a dataset of three random digits each, red, green and blue.

    Its thousand classes show which modes a generator has lost.
    """
    from progan.data.importers.mnist import import_mnist_rgb

    images = import_mnist_rgb(source, num_images=num_images, seed=seed)
    write(
        images,
        dest,
        how,
        {"source": source, "num_images": num_images, "seed": seed, "holdout": holdout},
    )


@click.command("create-cifar10", cls=Command)
@source_options("Folder cifar-10-batches-py or file cifar-10-python.tar.gz.")
@writing_options
@download_option("cifar10")
def create_cifar10(source: Path, dest: Path, holdout: float, how: Writing, **taken: Any) -> None:
    """Make a dataset of CIFAR-10, 32x32 RGB with labels."""
    from progan.data.importers.cifar import CIFAR10, import_cifar

    images = import_cifar(source, CIFAR10, **taken)
    write(images, dest, how, {"source": source, **taken, "holdout": holdout})


@click.command("create-cifar100", cls=Command)
@source_options("Folder cifar-100-python or file cifar-100-python.tar.gz.")
@writing_options
@download_option("cifar100")
def create_cifar100(source: Path, dest: Path, holdout: float, how: Writing, **taken: Any) -> None:
    """Make a dataset of CIFAR-100, 32x32 RGB with its fine labels."""
    from progan.data.importers.cifar import CIFAR100, import_cifar

    images = import_cifar(source, CIFAR100, **taken)
    write(images, dest, how, {"source": source, **taken, "holdout": holdout})


@click.command("create-svhn", cls=Command)
@source_options("File train_32x32.mat, the cropped digits, or its folder.")
@writing_options
@download_option("svhn")
def create_svhn(source: Path, dest: Path, holdout: float, how: Writing, **taken: Any) -> None:
    """Make a dataset of SVHN's cropped house numbers, 32x32 RGB with labels."""
    from progan.data.importers.svhn import import_svhn

    images = import_svhn(source, **taken)
    write(images, dest, how, {"source": source, **taken, "holdout": holdout})


@click.command("create-celeba", cls=Command)
@source_options("Folder img_align_celeba, its zip file, or a folder that has one of them.")
@click.option(
    "--cx",
    type=click.IntRange(64, 114),
    default=89,
    show_default=True,
    help="Middle of the crop, in pixels from the left.",
)
@click.option(
    "--cy",
    type=click.IntRange(64, 154),
    default=121,
    show_default=True,
    help="Middle of the crop, in pixels from the top.",
)
@writing_options
@download_option("celeba")
@on_error_option
def create_celeba(source: Path, dest: Path, holdout: float, how: Writing, **options: Any) -> None:
    """Make a dataset of aligned CelebA, faces cut to 128x128 RGB."""
    from progan.data.importers.celeba import import_celeba

    images = import_celeba(source, click.echo, **options)
    write(images, dest, how, {"source": source, **options, "holdout": holdout}, options["on_error"])


@click.command("create-lsun", cls=Command)
@source_options("Folder of one category, such as bedroom_train_lmdb, with its data.mdb.")
@resolution_option(256)
@resize_filter_option("lanczos")
@writing_options
@on_error_option
def create_lsun(
    source: Path, dest: Path, holdout: float, how: Writing, on_error: str, **options: Any
) -> None:
    """Make a dataset of one category of LSUN, the middle of each photograph.

    It needs the package lmdb: pip install lmdb.
    """
    from progan.data.importers.lsun import import_lsun

    images = import_lsun(source, **options)
    recorded = {"source": source, **options, "holdout": holdout, "on_error": on_error}
    write(images, dest, how, recorded, on_error)


@click.command("create-cub200", cls=Command)
@source_options("Folder CUB_200_2011, unpacked.")
@resolution_option(64)
@click.option(
    "--padding",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="How much larger than its bounding box a bird is cut out.",
)
@resize_filter_option("box")
@writing_options
@on_error_option
def create_cub200(source: Path, dest: Path, holdout: float, how: Writing, **options: Any) -> None:
    """Make a dataset of Caltech-UCSD Birds 2011, cut out by their bounding boxes, with labels."""
    from progan.data.importers.cub200 import import_cub200

    images = import_cub200(source, **options)
    write(images, dest, how, {"source": source, **options, "holdout": holdout}, options["on_error"])


KNOWN_COMMANDS = (
    create_mnist,
    create_mnist_rgb,
    create_cifar10,
    create_cifar100,
    create_svhn,
    create_celeba,
    create_lsun,
    create_cub200,
)


@click.command("create-celebahq", cls=Command)
@click.option(
    "--source",
    type=PATH,
    required=True,
    help="Folder of CelebA: img_celeba (or img_celeba.zip) and Anno/list_landmarks_celeba.txt.",
)
@dest_option
@click.option(
    "--deltas",
    type=PATH,
    help="Folder of the published deltas: image_list.txt, deltas00000.zip … or loose "
    "deltaNNNNN.dat. Without them, faces are only cut out, and improved by "
    "--enhance.",
)
@click.option(
    "--enhance",
    type=PATH,
    metavar="FILE",
    help="TorchScript network that improves pictures before: images uint8 [N,3,H,W] to "
    "[N,3,kH,kW].",
)
@click.option(
    "--resolution",
    type=int,
    default=1024,
    show_default=True,
    help="Side of the images in pixels, a power of two from 32 to 1024.",
)
@click.option(
    "--max-images",
    type=click.IntRange(min=1),
    help="Keep at most so many: the best ones by their power spectrum; with --deltas, "
    "the first ones of the list.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="With --deltas: take only images that are bit by bit those of CelebA-HQ.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    help="With --deltas: draw the images of --max-images with this seed. Draws those of "
    "--holdout, too.",
)
@holdout_option
@writing_options
@on_error_option
def create_celebahq(source: Path, dest: Path, holdout: float, how: Writing, **options: Any) -> None:
    """Make CelebA-HQ of CelebA in the wild.

    With the published deltas, it is CelebA-HQ itself; without them, faces are cut out in the same
    way, and --max-images keeps the sharpest. celebahq.jsonl in the dataset tells what became of
    each.
    """
    if how.shard is not None:
        raise UserError(
            "create-celebahq judges all faces together and reports on them in one "
            "file: leave --shard away."
        )
    from progan.data.celebahq.importer import CelebaHqOptions, import_celebahq
    from progan.data.celebahq.report import temporary_report, write_report

    recorded = {"source": source, "holdout": holdout, **options}
    recorded = {
        name: str(value) if isinstance(value, Path) else value
        for name, value in sorted(recorded.items())
    }
    with temporary_report(dest, recorded) as report:
        try:
            chosen = CelebaHqOptions(**options, workers=how.workers)
            faces = import_celebahq(source, dest, chosen, report, click.echo)
        except KeyboardInterrupt:
            click.echo(CONTINUES, err=True)
            raise
        write(faces, dest, how, recorded, options["on_error"])
        click.echo(write_report(report, dest))
