"""Any folder or zip file of images -> ImageSource."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from PIL import Image

from progan.data.format import SkippedImage
from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, select_rows
from progan.data.importers.color import describe_white_level_fault
from progan.data.importers.file_source import FileSource, open_file_source
from progan.data.importers.ignored_files import IgnoredFile, describe_ignored
from progan.data.importers.image_headers import (
    ImageHeader,
    count_enlarged,
    describe_conversions,
    largest_common_resolution,
    read_usable_headers,
    require_common_channels,
)
from progan.data.importers.labels import STYLEGAN_FILE, label_images
from progan.data.importers.pixels import (
    WHITE,
    Crop,
    Filter,
    convert_and_resize,
    decode_srgb,
    load_upright,
    require_opaque_color,
)
from progan.errors import UserError
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import format_count, pluralize
from progan.sizes import LONGEST_BASE, MAX_LEVEL, MIN_LEVEL, Size, level_of, require_resolution

SMALLEST = 1 << MIN_LEVEL  # px of the shorter side
LARGEST = (2 * SMALLEST - 1) << (MAX_LEVEL - MIN_LEVEL)
_NUM_NEAREST = 2
CONSTANT = "all pixels are the same"
Say = Callable[[str], None]


def parse_size(text: str) -> Size:
    """'1280x768' -> Size(768, 1280); UserError if it is no size, or none that has a base."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match:
        raise UserError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 1280x768.")
    size = Size(height=int(match[2]), width=int(match[1]))
    base_size(size)
    return size


def base_size(size: Size) -> Size:
    """Size at level 2 of images that have `size` at the level of their shorter side.

    Both sides are halved until the shorter one is 4 to 7 px, so that every size has one base and
    one level: 1280x768 is 10x6, doubled seven times.

    Raises:
        UserError: The sides cannot be halved so often; it names the nearest sizes that can.
    """
    halvings = _halvings(size)
    if not SMALLEST <= min(size) <= LARGEST:
        raise UserError(f"--size {size}: the shorter side must be {SMALLEST} to {LARGEST} px.")
    if max(size) > LONGEST_BASE << halvings:
        raise UserError(
            f"--size {size} is too long: of images with a shorter side of {min(size)} "
            f"px, the longer one is {LONGEST_BASE << halvings} px at most."
        )
    if not _halves(size):
        raise UserError(
            f"--size {size}: both sides must be multiples of {1 << halvings}, so that "
            f"they can be halved {halvings} times. The nearest sizes are "
            f"{' and '.join(map(str, nearest_sizes(size)))}."
        )
    return Size(size.height >> halvings, size.width >> halvings)


def nearest_sizes(size: Size) -> list[Size]:
    """The sizes that can be halved nearest to one that cannot, the nearest first."""
    step = 1 << _halvings(size)
    sides = [(side // step * step, -(-side // step) * step) for side in size]
    rounded = {Size(height, width) for height, width in product(*sides)}
    fitting = [
        other
        for other in rounded
        if _halves(other)
        and min(other) <= LARGEST
        and max(other) <= LONGEST_BASE << _halvings(other)
    ]
    return sorted(fitting, key=lambda other: (_distance(size, other), other))[:_NUM_NEAREST]


def _halves(size: Size) -> bool:
    return all(side % (1 << _halvings(size)) == 0 for side in size)


def _halvings(size: Size) -> int:
    return max(level_of(min(size)) - MIN_LEVEL, 0)


def _distance(one: Size, other: Size) -> tuple[int, int]:
    """Of the sides in px, and then of the aspect ratios."""
    return (
        abs(one.height - other.height) + abs(one.width - other.width),
        abs(one.height * other.width - one.width * other.height),
    )


def describe_oversize(width: int, height: int) -> str:
    """Say so if an image of `width` x `height` px is larger than Pillow trusts; '' if not."""
    most = Image.MAX_IMAGE_PIXELS
    return (
        f"{width}x{height} pixels, which may be a decompression bomb"
        if (most and width * height > most)
        else ""
    )


def is_constant(image: Image.Image) -> bool:
    """Whether all pixels are the same."""
    right, bottom = image.width - 1, image.height - 1
    places = ((right, bottom), (right, 0), (0, bottom), (right // 2, bottom // 2))
    first = image.getpixel((0, 0))
    if any(image.getpixel(place) != first for place in places):
        return False  # as of nearly all images, without a look at every pixel
    ranges = image.getextrema()
    pairs = ranges if isinstance(ranges[0], tuple) else (ranges,)
    return all(low == high for low, high in pairs)


def find_duplicates(digests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """(path, hash of the content) of files -> what to say of each that an earlier one equals."""
    first: dict[str, str] = {}
    return {
        path: f"has the content of {first[digest]}"
        for path, digest in digests
        if first.setdefault(digest, path) != path
    }


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
    require_opaque_color(options.alpha_color, "--alpha-color")
    wanted = _wanted(options)
    tree, paths, ignored = open_file_source(source)
    for line in describe_ignored(exclude_label_file(ignored, source, options.labels)):
        say(line)
    taken = [paths[row] for row in select_rows(len(paths), options.max_images, options.seed)]
    headers, unreadable = read_usable_headers(
        source, tree, taken, options.on_error, lambda item: _fault(item, tree, options)
    )
    for line in describe_conversions(
        headers, tree, options.channels, options.alpha_color, options.white_level
    ):
        say(line)
    labels = label_images(
        tree,
        [header.path for header in headers],
        paths,
        options.labels,
        say,
        num_taken=len(taken),
        seed=options.seed,
    )
    size = _size(headers, wanted, options, say)
    reader = _Reader(
        tree,
        tuple(header.path for header in headers),
        size,
        options.channels or require_common_channels(headers),
        options,
        find_duplicates((header.path, header.digest) for header in headers),
    )
    return ImageSource(
        description=str(source.resolve()),
        resolution=1 << level_of(min(size)),
        base=base_size(size),
        channels=reader.channels,
        count=len(headers),
        read=reader,
        labels=labels.labels,
        label_names=labels.names,
        skipped=tuple(unreadable),
        identity=hashlib.sha256(repr(headers).encode()).hexdigest(),
    )


def exclude_label_file(
    ignored: Iterable[IgnoredFile], source: Path, labels: str
) -> list[IgnoredFile]:
    """Leave out the file that `--labels` reads, which is used though it is not an image."""
    file = source / STYLEGAN_FILE if labels == "auto" else Path(labels)
    return [item for item in ignored if not _same(source / item.path, file)]


def _same(one: Path, other: Path) -> bool:
    return one.name == other.name and os.path.realpath(one) == os.path.realpath(other)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one image by its number."""

    tree: FileSource
    paths: tuple[str, ...]
    size: Size
    channels: int
    options: ImageOptions
    copies: Mapping[str, str]  # path -> which other image it is a copy of, in words

    def __call__(self, row: int) -> Sample:
        path = self.paths[row]
        image = decode_srgb(self.tree.read(path), path, self.options.white_level)
        reason = CONSTANT if is_constant(image) else self.copies.get(path)
        position = (
            random_crop_position(path, self.options.seed or 0)
            if self.options.crop == "random"
            else None
        )
        return Sample(
            convert_and_resize(
                image,
                channels=self.channels,
                size=self.size,
                crop=self.options.crop,
                resize_filter=self.options.resize_filter,
                position=position,
                background=self.options.alpha_color,
            ),
            doubt=SkippedImage(path, reason) if reason else None,
        )


def _fault(item: ImageHeader, tree: FileSource, options: ImageOptions) -> str:
    """Say why an image cannot be used, as far as that is known before all are read; '' if it can.

    Images of floating-point values are decoded for it: without --white-level none can be used.
    """
    if fault := describe_oversize(item.width, item.height):
        return fault
    if item.depth == "float" and options.white_level is None:
        try:
            return describe_white_level_fault(load_upright(tree.read(item.path), item.path), None)
        except UnreadableImage as error:
            return error.reason
    return ""


def random_crop_position(path: str, seed: int) -> float:
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
        raise UserError(
            f"--resolution {options.resolution} is for squares, and --size "
            f"{options.size} for any images: name one of them."
        )
    size = parse_size(options.size)
    if options.crop == "wide" and size.height != size.width:
        raise UserError(
            f"--crop wide makes squares, not images of {size}: name another "
            "one, such as --crop center."
        )
    return size


def _size(
    headers: Sequence[ImageHeader], wanted: Size | None, options: ImageOptions, say: Say
) -> Size:
    """The size of all images, and what is to say about it."""
    size = wanted
    if size is None:
        resolution = largest_common_resolution(headers)
        size = Size(resolution, resolution)
        say(f"Resolution {resolution}, the largest that no image has to be enlarged for.")
    if enlarged := count_enlarged(headers, size, options.crop):
        say(
            f"{enlarged:,} of {format_count(len(headers), 'image')} "
            f"{pluralize(enlarged, 'is', 'are')} smaller than {size} and will be enlarged."
        )
    return size
