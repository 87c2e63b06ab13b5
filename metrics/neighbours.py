"""Find nearest training images in the feature space of a detector, and test for memorisation.

Figure 10 of the paper, and its appendix. A generator that copies its training images is nearer to
them than other images of the same kind are (Meehan et al. 2020): the held-out images, or, without
any, each training image compared with all the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from scipy.stats import mannwhitneyu
from torch import Tensor

from metrics.detector import Detector, MetricContext, open_detector, pixel_detector
from metrics.options import PIXELS, SourceOptions
from metrics.samples import ImageSample, ImageShape, Rows
from metrics.sources import SampleSource, open_pair
from progan import __version__
from progan.errors import UserError
from progan.images import Pixels, arrange_grid, enlarge_by_repeating_pixels, save_png, to_opaque_pil
from progan.run_directory import find_run_of_file, load_config
from progan.runtime.devices import choose_device, set_precision
from progan.runtime.files import atomic_path, make_folder
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize
from progan.sampling.find_network import find_network

CAPTION = 14  # px of height that a line of text needs
MIN_CELL, MAX_CELL = 112, 256  # px, on a sheet
SUSPICIOUS = 0.001  # p-value below which copying is reported
# Share of the median distance of the others. Below it is rounding; 1/255 in one pixel is above it.
SAME = 1e-4
Distances = npt.NDArray[np.float64]


class CropBox(NamedTuple):
    """Part of each image that is compared, in px."""

    left: int
    top: int
    width: int
    height: int

    def crop(self, images: Tensor) -> Tensor:
        """Crop images [N, C, H, W] -> [N, C, height, width]."""
        return images[:, :, self.top : self.top + self.height, self.left : self.left + self.width]


class Neighbours(NamedTuple):
    """Nearest training images of some images, the nearest first.

    Attributes:
        distances: [Q, k].
        rows: Numbers of the training images in their source, [Q, k].
        flipped: The training image is nearer when it is flipped left to right, [Q, k].
    """

    distances: Distances
    rows: npt.NDArray[np.int64]
    flipped: npt.NDArray[np.bool_]


def embed_window(images: ImageSample, context: MetricContext, window: CropBox) -> Tensor:
    """Embed the window of each image: float64 [count, D] on the CPU."""
    assert context.detector is not None, "neighbours need a detector"
    batches = map(window.crop, images.batches(context.device, "features"))
    return torch.cat([context.detector.embed(batch)[0].double() for batch in batches])


def find_nearest(
    queries: Tensor,
    excluded_rows: Rows,
    training: ImageSample,
    context: MetricContext,
    k: int,
    window: CropBox,
    *,
    mirror: bool = False,
) -> Neighbours:
    """Find the k nearest training images of each query by exhaustive search, without itself.

    Args:
        queries: Features, float64 [Q, D].
        excluded_rows: Number of the training image that a query is itself; -1 for none, [Q].
        mirror: Compare with each training image flipped left to right, too; the nearer one counts.
    """
    detector = context.detector
    assert detector is not None, "neighbours need a detector"

    def measure_distances(batch: Tensor) -> Tensor:
        # In float64: these are small differences of large numbers where images are alike.
        return torch.cdist(queries, detector.embed(window.crop(batch))[0].double())

    excluded = torch.from_numpy(excluded_rows)[:, None]
    distances = torch.full((len(queries), k), torch.inf, dtype=torch.float64)
    rows = torch.full((len(queries), k), -1)
    flipped = torch.zeros((len(queries), k), dtype=torch.bool)
    done = 0
    for batch in training.batches(context.device, "searching for neighbours"):
        numbers = torch.from_numpy(training.rows[done : done + len(batch)])[None]
        found = measure_distances(batch)
        is_flipped = torch.zeros_like(found, dtype=torch.bool)
        if mirror:
            of_flipped = measure_distances(batch.flip(3))
            is_flipped = of_flipped < found
            found = torch.minimum(found, of_flipped)
        found = found.where(numbers != excluded, torch.inf)
        distances, order = torch.cat([distances, found], 1).topk(k, largest=False)
        rows = torch.cat([rows, numbers.expand(len(excluded), -1)], 1).gather(1, order)
        flipped = torch.cat([flipped, is_flipped], 1).gather(1, order)
        done += len(batch)
    return Neighbours(distances.numpy(), rows.numpy(), flipped.numpy())


def parse_crop_or_whole(text: str | None, size: ImageShape) -> CropBox:
    """Parse 'X,Y,WIDTHxHEIGHT'; None: the whole image. Raises UserError."""
    if text is None:
        return CropBox(0, 0, size.width, size.height)
    try:
        left, top, extent = text.split(",")
        width, height = extent.split("x")
        window = CropBox(int(left), int(top), int(width), int(height))
    except ValueError:
        raise UserError(f"--crop {text!r} is not X,Y,WIDTHxHEIGHT such as 16,8,32x40.") from None
    right, bottom = window.left + window.width, window.top + window.height
    is_empty = min(window.width, window.height) < 1
    if is_empty or min(window[:2]) < 0 or right > size.width or bottom > size.height:
        raise UserError(
            f"--crop {text} does not lie inside of images of {size} (width, height, channels)."
        )
    return window


@dataclass(frozen=True, kw_only=True, slots=True)
class NeighbourSearch:
    """Images, their nearest training images, and the test for memorisation.

    Attributes:
        neighbours: Nearest training images of the images, [Q, k].
        others: Distances of comparison images to their nearest training image, [M].
        kind: Description of the comparison images.
        nearer: P(an image is nearer than a comparison image); 0.5 if they are alike.
        p_value: One-sided p-value of `nearer` (Mann–Whitney).
        window: Part of the images that was compared.
        mirror: Training images were compared flipped left to right, too.
    """

    images: ImageSample
    training: ImageSample
    detector: str
    neighbours: Neighbours
    others: Distances
    kind: str
    nearer: float
    p_value: float
    window: CropBox
    mirror: bool

    @property
    def nearest(self) -> Distances:
        """Distance of each image to its nearest training image, [Q]."""
        distances: Distances = self.neighbours.distances[:, 0]
        return distances

    def record(self) -> dict[str, Any]:
        """Return the JSON object of --json."""
        median_others = float(np.median(self.others))
        return {
            "metric": "neighbours",
            "images": self.images.description,
            "reals": self.training.description,
            "size": list(self.images.size),
            "num_images": self.images.count,
            "num_training": self.training.count,
            "detector": self.detector,
            "mirror": self.mirror,
            "others": self.kind,
            "num_others": len(self.others),
            "progan": __version__,
            "values": {
                "median": float(np.median(self.nearest)),
                "median_others": median_others,
                "nearer": self.nearer,
                "p_value": self.p_value,
                "num_nearest": int((self.nearest < self.others.min()).sum()),
                "num_copies": int((self.nearest <= SAME * median_others).sum()),
            },
        }


def find_neighbours(
    sources: SourceOptions,
    num_images: int,
    k: int,
    crop: str | None = None,
    *,
    mirror: bool | None = None,
) -> NeighbourSearch:
    """Open the images and the reals of a command line, and search; raises UserError.

    Args:
        mirror: Compare with flipped training images, too; None: if the network was trained so.
    """
    device = choose_device(sources.device)
    set_precision("fp32")
    path = sources.measured if sources.network is None else find_network(sources.network)
    images, reals = open_pair(sources, path, device)
    if mirror is None:
        run = None if sources.network is None else find_run_of_file(path)
        mirror = run is not None and load_config(run).data.mirror
    window = parse_crop_or_whole(crop, images.size)
    detector = open_neighbour_detector(sources.detector, device)
    context = MetricContext(seed=sources.seed, device=device, detector=detector)
    return search_training_images(
        images, reals, context, num_images=num_images, k=k, window=window, mirror=mirror
    )


def search_training_images(
    images: SampleSource,
    reals: SampleSource,
    context: MetricContext,
    *,
    num_images: int,
    k: int,
    window: CropBox,
    mirror: bool = False,
) -> NeighbourSearch:
    """Find the k nearest training images of some images; raises UserError for too few images.

    Args:
        mirror: Compare with each training image flipped left to right, too, as --mirror shows it.
    """
    assert context.detector is not None, "neighbours need a detector"
    if images.count is not None and num_images > images.count:
        raise UserError(
            f"{images.description} has {format_count(images.count, 'image')}, and "
            f"{num_images} are asked for. Use --num-images {images.count} or less."
        )
    trained = reals.training_rows
    if k >= len(trained):
        fewer = "Ask for fewer, or name" if len(trained) > 1 else "Name"
        raise UserError(
            f"{reals.description} has {format_count(len(trained), 'training image')}, "
            f"too few for {format_count(k, 'neighbour')} of each. {fewer} more images."
        )
    training = reals.sample(trained)
    if images.count is None:  # seeds of a network
        rows = np.arange(num_images)
    else:
        order = numpy_generator(context.seed, "images").permutation(images.count)
        rows = np.sort(order[:num_images])
    asked = images.sample(rows)
    pool = reals.held_out if len(reals.held_out) else trained
    others = reals.sample(numpy_generator(context.seed, "others").permutation(pool)[:num_images])
    queries = torch.cat([embed_window(sample, context, window) for sample in (asked, others)])
    own = np.concatenate([np.full(asked.count, -1), others.rows])
    found = find_nearest(queries, own, training, context, k, window, mirror=mirror)
    of_images = Neighbours(
        found.distances[: asked.count], found.rows[: asked.count], found.flipped[: asked.count]
    )
    of_others = found.distances[asked.count :, 0]
    nearer, p_value = compare_distances(of_images.distances[:, 0], of_others)
    return NeighbourSearch(
        images=asked,
        training=training,
        detector=context.detector.name,
        neighbours=of_images,
        others=of_others,
        nearer=nearer,
        p_value=p_value,
        window=window,
        mirror=mirror,
        kind="held-out images" if len(reals.held_out) else "training images among the others",
    )


def compare_distances(images: Distances, others: Distances) -> tuple[float, float]:
    """Return P(an image is nearer than one of the others) and its p-value (Mann–Whitney).

    Both arguments are distances to the nearest training image; a tie counts half.
    """
    test = mannwhitneyu(images, others, alternative="less")
    return 1 - float(test.statistic) / (len(images) * len(others)), float(test.pvalue)


def summarize_search(record: Mapping[str, Any]) -> str:
    """Format `NeighbourSearch.record` as sentences."""
    values = record["values"]
    flipped = ", flipped left to right as well" if record.get("mirror") else ""
    return (
        f"Compared by {record['detector']}, with "
        f"{format_count(record['num_training'], 'training image')} of {record['reals']}{flipped}.\n"
        f"Distance to the nearest one, median of {format_count(record['num_images'], 'image')}: "
        f"{values['median']:.4g}; of {record['num_others']:,} {record['others']}: "
        f"{values['median_others']:.4g}{_describe_nearest(values)}.\n"
        f"P(generated is nearer than other) = {values['nearer']:.2f}, Mann–Whitney p = "
        f"{values['p_value']:.2g}. {_format_conclusion(values)}"
    )


def _describe_nearest(values: Mapping[str, Any]) -> str:
    count = values.get("num_nearest")
    if count is None:  # the record of an earlier version
        return ""
    images = f"{format_count(count, 'image', none='no')} {pluralize(count, 'is', 'are')}"
    return f"; {images} nearer than any of these"


def _format_conclusion(values: Mapping[str, Any]) -> str:
    """Return the conclusion; a few copies do not change the probability and are only counted."""
    if values["p_value"] < SUSPICIOUS:
        return "The images are nearer: a sign of copying."
    if copies := values.get("num_copies"):
        verb = pluralize(copies, "copies a training image", "copy training images")
        return f"{format_count(copies, 'image')} {verb} exactly."
    return "No sign of copying."


def plot_distances(found: NeighbourSearch, path: Path) -> None:
    """Plot the distribution functions of the distances of the images and of the others."""
    from matplotlib.figure import Figure

    page = Figure(figsize=(7, 4), layout="constrained")
    axes = page.subplots()
    for values, label in ((found.nearest, "images"), (found.others, found.kind)):
        axes.ecdf(values, label=f"{len(values)} {label}")
    axes.set(
        xlabel=f"distance to the nearest training image ({found.detector})",
        ylabel="share that is nearer",
        title=f"P(nearer) = {found.nearer:.2f}, p = {found.p_value:.2g}",
    )
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        page.savefig(temporary, format="png", dpi=120)


def write_sheet(found: NeighbourSearch, rows: int, sheet: Path) -> tuple[Path, Path]:
    """Write the sheet with at most `rows` images and the figure of distances; return the paths."""
    make_folder(sheet.parent)
    save_png(sheet, neighbour_sheet(found, rows))
    plot_distances(found, make_distances_path(sheet))
    return sheet, make_distances_path(sheet)


def make_distances_path(sheet: Path) -> Path:
    """Return the path of the figure of all distances, beside the sheet."""
    return sheet.with_name(f"{sheet.stem}-distances.png")


def open_neighbour_detector(detector: Path | None, device: torch.device) -> Detector:
    """Open the named detector; else VGG-16, or the pixels where it cannot be downloaded."""
    if detector is not None and str(detector) != PIXELS:
        return open_detector(detector, "vgg16", device)
    if detector is None:
        try:
            return open_detector(None, "vgg16", device)
        except UserError as error:
            click.echo(f"{error} Comparing pixels instead.", err=True)
    return pixel_detector()


def neighbour_sheet(found: NeighbourSearch, rows: int) -> Pixels:
    """Arrange at most `rows` images beside their neighbours, the image with the nearest one first.

    The compared part of the images is framed unless it is all of them.
    """
    cells = []
    for place in np.argsort(found.nearest, kind="stable")[:rows]:
        number = found.images.rows[place : place + 1]
        image, caption = found.images.read(number)[0], f"image {number[0]}"
        cells.append(_neighbour_cell(image, caption, found.window))
        distances, nearest, flipped = (each[place] for each in found.neighbours)
        images = found.training.read(nearest)
        images = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
        for row, distance, is_flipped, image in zip(
            nearest, distances, flipped, images, strict=True
        ):
            caption = f"#{row}{' flip' * bool(is_flipped)} d {distance:.3g}"
            cells.append(_neighbour_cell(image, caption, None))
    return arrange_grid(np.stack(cells), len(found.neighbours.rows[0]) + 1)


def _neighbour_cell(image: Pixels, caption: str, window: CropBox | None) -> Pixels:
    """Render an image [H, W, C] above its caption: [H', W', 3]."""
    height, width = image.shape[:2]
    enlarged = to_opaque_pil(enlarge_by_repeating_pixels(image[None], MIN_CELL)[0])
    enlarged.thumbnail((MAX_CELL, MAX_CELL), Image.Resampling.BOX)
    if window is not None and window[2:] != (width, height):
        scale = enlarged.width / width
        left, top = window.left * scale, window.top * scale
        right, bottom = (
            start + max(side * scale - 1, 0)  # at least a point
            for start, side in ((left, window.width), (top, window.height))
        )
        ImageDraw.Draw(enlarged).rectangle((left, top, right, bottom), outline="red")
    cell = Image.new("RGB", (enlarged.width + 2, enlarged.height + CAPTION), "white")
    cell.paste(enlarged, (1, 0))
    ImageDraw.Draw(cell).text((3, enlarged.height), caption, fill="black")
    return np.asarray(cell, np.uint8)
