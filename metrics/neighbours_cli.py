"""python -m metrics neighbours: show the nearest training images."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metrics.options import SourceOptions, source_options
from progan.command import PATH, Command
from progan.errors import UserError
from progan.runtime.files import require_writable_file
from progan.runtime.torch_settings import set_omp_passive

if TYPE_CHECKING:
    import torch

    from metrics.detector import Detector

PIXELS = "pixels"  # in place of a detector's file
SHEET_FILE = "neighbours.png"
COUNT = click.IntRange(min=1)


@click.command(cls=Command)
@source_options()
@click.option(
    "--num-images", type=COUNT, default=128, show_default=True, help="Number of images to look up."
)
@click.option(
    "-k",
    "k",
    type=COUNT,
    default=5,
    show_default=True,
    help="Number of neighbours to show of each image.",
)
@click.option(
    "--rows",
    type=COUNT,
    default=16,
    show_default=True,
    help="Number of images to show: those that are nearest to a training image.",
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
    help="PNG file to write; the figure of all distances is written beside it.",
)
def neighbours(
    sources: SourceOptions, num_images: int, k: int, rows: int, crop: str | None, sheet: Path
) -> None:
    """Show images beside the training images that they are nearest to.

    Distances are those of a detector's features: five layers of VGG-16 as in figure 10 of the
    paper, another --detector FILE, or the pixels with --detector pixels. Of a dataset with a
    hold-out, the held-out images show how near images are that copy nothing.

    \b
    python -m metrics neighbours --network runs/00000-mine-v2-1gpu --data datasets/mine
    """
    detector = None if str(sources.detector) == PIXELS else sources.detector
    sources.require_files(detector)
    require_writable_file(sheet, "--sheet", makes_folder=True)
    set_omp_passive()
    from metrics.detector import MetricContext
    from metrics.evaluation import append_lines
    from metrics.neighbours import (
        parse_window,
        plot_distances,
        search_training_images,
        summarize_search,
    )
    from metrics.sheets import neighbour_sheet
    from metrics.sources import open_pair
    from progan.images import save_png
    from progan.runtime.devices import choose_device, set_precision
    from progan.runtime.files import make_folder
    from progan.sampling.find_network import find_network

    if sources.json_file is not None:
        append_lines(sources.json_file, [])  # fail now rather than after measuring
    device, is_network = choose_device(sources.device), sources.network is not None
    set_precision("fp32")
    images, reals = open_pair(
        find_network(sources.measured) if is_network else sources.measured,
        sources.reals,
        device,
        network=is_network,
        resize=sources.resize,
        subset=sources.subset,
    )
    window = parse_window(crop, images.size)
    context = MetricContext(
        seed=sources.seed, device=device, detector=open_neighbour_detector(sources.detector, device)
    )
    found = search_training_images(
        images, reals, context, num_images=num_images, k=k, window=window
    )
    make_folder(sheet.parent)
    save_png(sheet, neighbour_sheet(found, rows, window))
    plot_distances(found, distances_file(sheet))
    click.echo(f"{summarize_search(found.record())}\n{sheet}\n{distances_file(sheet)}")
    if sources.json_file is not None:
        append_lines(sources.json_file, [found.record()])


def distances_file(sheet: Path) -> Path:
    """Return the path of the figure of all distances, beside the sheet."""
    return sheet.with_name(f"{sheet.stem}-distances.png")


def open_neighbour_detector(detector: Path | None, device: "torch.device") -> "Detector":
    """Open the named detector; else VGG-16, or the pixels where it cannot be downloaded."""
    from metrics.detector import open_detector, pixel_detector

    if detector is not None and str(detector) == PIXELS:
        return pixel_detector()
    try:
        return open_detector(detector, "vgg16", device)
    except UserError as error:
        if detector is not None:
            raise
        click.echo(f"{error} Comparing pixels instead.", err=True)
        return pixel_detector()
