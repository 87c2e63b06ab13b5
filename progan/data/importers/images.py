"""Any folder or zip file of images -> ImageSource."""

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from progan.data.format import Skipped
from progan.data.importers.conversions import conversion_lines
from progan.data.importers.depth import white_fault
from progan.data.importers.doubts import CONSTANT, copies, is_constant, oversize
from progan.data.importers.ignored import Ignored, describe_ignored
from progan.data.importers.label_tables import STYLEGAN_FILE
from progan.data.importers.labelling import labels_of_images
from progan.data.importers.pixels import (
    WHITE,
    Crop,
    Filter,
    decoded_srgb,
    load_upright,
    pixels,
    require_colour,
)
from progan.data.importers.preflight import (
    Header,
    common_channels,
    fitting_resolution,
    num_enlarged,
    readable_headers,
)
from progan.data.importers.sizes import base_of, parse_size
from progan.data.importers.tree import Tree, open_tree
from progan.data.source import ImageSource, OnError, Sample, UnreadableImage, chosen
from progan.errors import UserError
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize
from progan.sizes import Size, level_of, require_resolution

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """How images become a dataset; None leaves the choice to the images."""

    resolution: int | None = None  # of squares
    size: str | None = None  # or of others: '1280x768', width first
    channels: int | None = None
    crop: Crop = "center"
    resize_filter: Filter = "lanczos"
    alpha_color: str = WHITE  # what transparency is laid on where it has to go
    white_level: float | None = None  # grey value of more than 8 bits that becomes white
    labels: str = "auto"  # or 'folders', 'none', or a file, .csv, .tsv or .json
    max_images: int | None = None
    seed: int | None = None
    on_error: OnError = "stop"


def import_images(source: Path, options: ImageOptions, say: Say) -> ImageSource:
    """Look through the images below `source` and tell how they will be read.

    Args:
        say: Receives one line for each choice that was made for the user.

    Raises:
        UserError: No images, unreadable ones, several kinds of them, or a wrong size or
            colour.
    """
    require_colour(options.alpha_color, "--alpha-color")
    wanted = _wanted(options)
    tree, paths, ignored = open_tree(source)
    for line in describe_ignored(not_labels(ignored, source, options.labels)):
        say(line)
    taken = [paths[row] for row in chosen(len(paths), options.max_images, options.seed)]
    headers, unreadable = readable_headers(
        source, tree, taken, options.on_error, lambda item: _fault(item, tree, options))
    for line in conversion_lines(headers, tree, options.channels, options.alpha_color,
                                 options.white_level):
        say(line)
    labels = labels_of_images(
        tree, [header.path for header in headers], paths, options.labels, say,
        num_taken=len(taken), seed=options.seed)
    size = _size(headers, wanted, options, say)
    reader = _Reader(tree, tuple(header.path for header in headers), size,
                     options.channels or common_channels(headers), options,
                     copies((header.path, header.digest) for header in headers))
    return ImageSource(
        description=str(source.resolve()), resolution=1 << level_of(min(size)),
        base=base_of(size), channels=reader.channels, count=len(headers), read=reader,
        labels=labels.labels, label_names=labels.names, skipped=tuple(unreadable),
        identity=hashlib.sha256(repr(headers).encode()).hexdigest(),
    )


def not_labels(ignored: Iterable[Ignored], source: Path, labels: str) -> list[Ignored]:
    """Leave out the file that `--labels` reads, which is used though it is not an image."""
    file = source / STYLEGAN_FILE if labels == "auto" else Path(labels)
    return [item for item in ignored if not _same(source / item.path, file)]


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and os.path.realpath(one) == os.path.realpath(other)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one image by its number."""

    tree: Tree
    paths: tuple[str, ...]
    size: Size
    channels: int
    options: ImageOptions
    copies: Mapping[str, str]  # path -> which other image it is a copy of, in words

    def __call__(self, row: int) -> Sample:
        path = self.paths[row]
        picture = decoded_srgb(self.tree.read(path), path, self.options.white_level)
        reason = CONSTANT if is_constant(picture) else self.copies.get(path)
        position = chance(path, self.options.seed or 0) if self.options.crop == "random" else None
        return Sample(pixels(
            picture, channels=self.channels, size=self.size, crop=self.options.crop,
            resize_filter=self.options.resize_filter, position=position,
            background=self.options.alpha_color), doubt=Skipped(path, reason) if reason else None)


def _fault(item: Header, tree: Tree, options: ImageOptions) -> str:
    """Say why an image cannot be used, as far as that is known before all are read; '' if it can.

    Images of floating-point values are decoded for it: without --white-level none can be used.
    """
    if fault := oversize(item.width, item.height):
        return fault
    if item.depth == "float" and options.white_level is None:
        try:
            return white_fault(load_upright(tree.read(item.path), item.path), None)
        except UnreadableImage as error:
            return error.reason
    return ""


def chance(path: str, seed: int) -> float:
    """A number in [0, 1) that depends on the path and the seed only."""
    return float(numpy_generator(seed, "crop", path).random())


def _wanted(options: ImageOptions) -> Size | None:
    """The size that the user asks for, None if it is left to the images."""
    if options.size is None:
        if options.resolution is None:
            return None
        require_resolution(options.resolution, "--resolution")
        return Size(options.resolution, options.resolution)
    if options.resolution is not None:
        raise UserError(f"--resolution {options.resolution} is for squares, and --size "
                        f"{options.size} for any images: name one of them.")
    size = parse_size(options.size)
    if options.crop == "wide" and size.height != size.width:
        raise UserError(f"--crop wide makes squares, not images of {size}: name another "
                        "one, such as --crop center.")
    return size


def _size(
    headers: Sequence[Header], wanted: Size | None, options: ImageOptions, say: Say
) -> Size:
    """The size of all images, and what is to say about it."""
    size = wanted
    if size is None:
        resolution = fitting_resolution(headers)
        size = Size(resolution, resolution)
        say(f"Resolution {resolution}, the largest that no image has to be enlarged for.")
    if enlarged := num_enlarged(headers, size, options.crop):
        say(f"{enlarged:,} of {format_count(len(headers), 'image')} "
            f"{pluralize(enlarged, 'is', 'are')} smaller than {size} and will be enlarged.")
    return size
