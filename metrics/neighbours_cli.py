"""python -m metrics neighbours: show the nearest training images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metrics.options import named, require_files, source_options
from progan.command import PATH, Command
from progan.errors import UserError
from progan.runtime.files import require_writable_file
from progan.runtime.torch_settings import set_omp_passive

if TYPE_CHECKING:
    import torch

    from metrics.detector import Detector

PIXELS = "pixels"  # in place of a detector's file
SHEET_FILE = "neighbours.png"


@click.command(cls=Command)
@source_options()
@click.option(
    "--num-images",
    type=click.IntRange(min=1),
    default=128,
    show_default=True,
    help="How many images to look up.",
)
@click.option(
    "-k",
    "k",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="How many neighbours to show of each.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=16,
    show_default=True,
    help="How many images to show: those that are nearest to a training image.",
)
@click.option(
    "--crop",
    metavar="X,Y,WxH",
    help="Compare only this part of the images, in px from the left and from the top.",
)
@click.option(
    "--sheet",
    type=PATH,
    default=Path(SHEET_FILE),
    show_default=True,
    metavar="FILE",
    help="PNG file to write; the figure of all distances lies beside it.",
)
def neighbours(
    network: Path | None,
    images: Path | None,
    data: Path | None,
    reference: Path | None,
    subset: str,
    resize: int | None,
    detector: Path | None,
    num_images: int,
    k: int,
    rows: int,
    crop: str | None,
    sheet: Path,
    seed: int,
    json_file: Path | None,
    device: str,
) -> None:
    """Show images beside the training images that they are nearest to.

    Near in the space of a detector: five layers of VGG-16 as in figure 10 of the paper, or
    another --detector FILE, or the pixels with --detector pixels. Of a dataset with a hold-out,
    the held-out images tell how near images of the same kind come without having been copied.

    \b
    python -m metrics neighbours --network runs/00000-mine-v2-1gpu --data datasets/mine
    """
    measured = named(network, images, "What to look up? Name either a --network or --images.")
    against = named(
        data,
        reference,
        "Look up among what? Name the real images, either as --data or as --reference.",
    )
    require_files(
        measured,
        against,
        json_file=json_file,
        detector=None if str(detector) == PIXELS else detector,
    )
    require_writable_file(sheet, "--sheet", makes_folder=True)
    set_omp_passive()
    from metrics.detector import Setup
    from metrics.evaluation import append_lines
    from metrics.memorisation import figure, look_up, sentences
    from metrics.neighbours import parse_window
    from metrics.sheets import neighbour_sheet
    from metrics.sources import open_pair
    from progan.images import save_png
    from progan.runtime.devices import choose_device, set_precision
    from progan.runtime.files import make_folder
    from progan.sampling.network_choice import find_network

    if json_file is not None:
        append_lines(json_file, [])  # better refused now than when all is measured
    target = choose_device(device)
    set_precision("fp32")
    path = measured if network is None else find_network(measured)
    asked, reals = open_pair(
        path, against, target, network=network is not None, resize=resize, subset=subset
    )
    window = parse_window(crop, asked.size)
    setup = Setup(seed=seed, device=target, detector=opened(detector, target))
    found = look_up(asked, reals, setup, num_images=num_images, k=k, window=window)
    make_folder(sheet.parent)
    save_png(sheet, neighbour_sheet(found, rows, window))
    histogram = histogram_beside(sheet)
    figure(found, histogram)
    click.echo(sentences(found.record()))
    click.echo(f"{sheet}\n{histogram}")
    if json_file is not None:
        append_lines(json_file, [found.record()])


def histogram_beside(sheet: Path) -> Path:
    """Where the figure of all distances goes."""
    return sheet.with_name(f"{sheet.stem}-distances.png")


def opened(detector: Path | None, device: "torch.device") -> "Detector":
    """What images are compared by: VGG-16 or pixels, unless it is named."""
    from metrics.detector import open_detector, pixels

    if detector is not None and str(detector) == PIXELS:
        return pixels()
    try:
        return open_detector(detector, "vgg16", device)
    except UserError as error:
        if detector is not None:
            raise
        click.echo(f"{error} Comparing pixels instead.", err=True)
        return pixels()
