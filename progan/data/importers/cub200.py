"""Caltech-UCSD Birds 2011 (CUB-200-2011) in its original files -> ImageSource of cut-out birds.

The crop is that of the Keras example "Data-efficient GANs with adaptive discriminator
augmentation": a square around the bounding box, a quarter larger, and no farther than the image
reaches. Where that leaves less than a square, it is stretched to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, select_rows
from progan.data.importers.file_source import FolderSource
from progan.data.importers.image_headers import read_usable_headers
from progan.data.importers.pixels import FILTERS, Filter, convert_mode, decode_image
from progan.errors import UserError
from progan.sizes import require_resolution

FOLDER = "CUB_200_2011"
PADDING = 0.25
_WANTED = f"Name the unpacked folder {FOLDER}, which has images.txt and images/."


class Box(NamedTuple):
    """A rectangle in px; fractions are possible."""

    left: float
    top: float
    width: float
    height: float


def import_cub200(
    source: Path,
    *,
    resolution: int = 64,
    padding: float = PADDING,
    resize_filter: Filter = "box",
    max_images: int | None = None,
    seed: int | None = None,
    on_error: OnError = "stop",
) -> ImageSource:
    """Look through the birds of `source`, `CUB_200_2011` or the folder that it is in.

    Args:
        padding: How much the longer side of the bounding box grows, as a fraction of it.

    Raises:
        UserError: Missing or damaged tables, or images that cannot be read.
    """
    require_resolution(resolution, "--resolution")
    root = source / FOLDER if (source / FOLDER).is_dir() else source
    if not (root / "images.txt").is_file():
        raise UserError(f"There is no images.txt in --source {source}. {_WANTED}")
    paths, boxes, labels, names = _tables(root)
    rows = select_rows(len(paths), max_images, seed).tolist()
    number_of = {paths[row]: row for row in rows}
    headers, unreadable = read_usable_headers(
        root / "images", FolderSource(root / "images"), list(number_of), on_error
    )
    kept = [number_of[header.path] for header in headers]
    return ImageSource(
        description=f"Caltech-UCSD Birds, {root.resolve()}",
        resolution=resolution,
        channels=3,
        count=len(kept),
        labels=np.array(labels, np.int64)[kept],
        label_names=names,
        skipped=tuple(unreadable),
        read=_Reader(
            FolderSource(root / "images"),
            tuple(paths[row] for row in kept),
            tuple(boxes[row] for row in kept),
            resolution,
            padding,
            resize_filter,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    tree: FolderSource
    paths: tuple[str, ...]
    boxes: tuple[Box, ...]
    resolution: int
    padding: float
    resize_filter: Filter

    def __call__(self, row: int) -> Sample:
        path = self.paths[row]
        image = convert_mode(decode_image(self.tree.read(path), path), 3)
        box = self.boxes[row]
        if not (box.left + box.width / 2 < image.width and box.top + box.height / 2 < image.height):
            raise UnreadableImage(
                path,
                f"its bounding box {tuple(box)} is beside its {image.width}x{image.height} pixels",
            )
        cut = crop_box(box, image.width, image.height, self.padding)
        return Sample(_resized(image.crop(cut), self.resolution, self.resize_filter))


def _resized(image: Image.Image, resolution: int, resize_filter: Filter) -> npt.NDArray[np.uint8]:
    return np.asarray(image.resize((resolution, resolution), FILTERS[resize_filter]))


def crop_box(box: Box, width: int, height: int, padding: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is cut out of an image of width x height px."""
    x, y = box.left + box.width / 2, box.top + box.height / 2
    size = (1 + padding) * max(box.width, box.height)
    left, right = _span(x, size, width)
    top, bottom = _span(y, size, height)
    return left, top, right, bottom


def _span(center: float, size: float, limit: int) -> tuple[int, int]:
    """First px and the one after the last: `size` long, shorter if that left 0 … limit."""
    inside = min(size, 2 * center, 2 * (limit - center))
    start = max(0, min(round(center - inside / 2), limit - 1))
    return start, min(start + max(1, round(inside)), limit)


def _tables(root: Path) -> tuple[list[str], list[Box], list[int], tuple[str, ...]]:
    """Path, bounding box and class of each image, and the names of the classes."""
    images, classes = _rows(root / "images.txt", 1), _rows(root / "classes.txt", 1)
    boxes = _rows(root / "bounding_boxes.txt", 4)
    class_of = _rows(root / "image_class_labels.txt", 1)
    index = {number: row for row, number in enumerate(classes)}
    try:
        return (
            [path for (path,) in images.values()],
            [_box(boxes[number]) for number in images],
            [index[class_of[number][0]] for number in images],
            tuple(name for (name,) in classes.values()),
        )
    except KeyError as error:
        raise UserError(
            f"The tables in {root} do not agree: one of them has no line of the number "
            f"{error}. Fetch the dataset again."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{root / 'bounding_boxes.txt'} is damaged: {error}. Fetch the dataset again."
        ) from error


def _box(numbers: Sequence[str]) -> Box:
    box = Box(*map(float, numbers))
    if not (box.left >= 0 and box.top >= 0 and box.width >= 1 and box.height >= 1):
        raise ValueError(f"{' '.join(numbers)} is no rectangle")
    return box


def _rows(path: Path, num_values: int) -> dict[str, list[str]]:
    """Lines 'number value …' as number -> values, in their order; raises UserError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_WANTED}") from error
    rows = {}
    for number, line in enumerate(lines, 1):
        key, *values = line.split() or [""]
        if len(values) != num_values:
            raise UserError(
                f"{path} is damaged: line {number} is {line!r}, not a number and "
                f"{num_values} more. Fetch the dataset again."
            )
        rows[key] = values
    if not rows:
        raise UserError(f"{path} is empty. Fetch the dataset again.")
    return rows
