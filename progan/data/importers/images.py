"""Any folder, zip or tar file of images -> ImageSource."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from progan.data.format import SkippedImage
from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, select_rows
from progan.data.importers.color import (
    BitDepth,
    PartialRange,
    describe_white_level_fault,
    exceeds_14_bits,
    find_partial_range,
    find_peak,
)
from progan.data.importers.file_source import FileReader, open_file_source
from progan.data.importers.ignored_files import IgnoredFile, describe_ignored
from progan.data.importers.image_headers import (
    PROGRESS_BAR,
    ImageHeader,
    count_enlarged,
    hash_headers,
    largest_common_resolution,
    read_usable_headers,
    require_common_channels,
    summarize_notes,
)
from progan.data.importers.label_arrays import Labels
from progan.data.importers.labels import STYLEGAN_FILE, label_images
from progan.data.importers.pixels import (
    WHITE,
    Crop,
    Filter,
    convert_and_resize,
    decode_srgb,
    load_upright,
    open_image,
    require_opaque_color,
)
from progan.data.importers.remote import Url
from progan.errors import UserError
from progan.runtime.seeding import numpy_generator
from progan.runtime.text import PrintLine, format_count, pluralize
from progan.sizes import Size, compute_base_size, level_of, parse_size, require_resolution

CONSTANT = "all pixels are the same"
_MOST_BRIGHT = 0.1  # share of bright images from which no set is dark, whatever the others are


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """Options of create-from-images; None leaves the choice to the images."""

    resolution: int | None = None  # side of squares, px
    size: str | None = None  # or of other rectangles: '1280x768', width first
    channels: int | None = None
    crop: Crop = "center"
    resize_filter: Filter = "lanczos"
    alpha_color: str = WHITE  # what transparency is laid on where it has to go
    white_level: float | None = None  # grey value of more than 8 bits that becomes white
    labels: str = "auto"  # or 'folders', 'none', or a file, .csv, .tsv or .json
    max_images: int | None = None
    seed: int | None = None
    on_error: OnError = "stop"


def import_images(source: Path | Url, options: ImageOptions, print_line: PrintLine) -> ImageSource:
    """Check the headers and labels of all images below `source`; decode them when they are read.

    Args:
        print_line: Receives one line for each choice that was made for the user.

    Raises:
        UserError: No images, unreadable ones, several kinds of them, or a wrong size or
            colour.
    """
    if "://" in options.labels:
        raise UserError(f"--labels {Url(options.labels)} is a URL. Copy that file to this machine.")
    tree, paths, ignored = open_file_source(source)
    for line in describe_ignored(exclude_label_file(ignored, source, options.labels)):
        print_line(line)

    def label(kept: Sequence[str], num_taken: int) -> Labels:
        return label_images(
            tree, kept, paths, options.labels, print_line, num_taken=num_taken, seed=options.seed
        )

    return import_tree(source, tree, paths, label, options, print_line)


def import_tree(
    source: Path | Url,
    tree: FileReader,
    paths: Sequence[str],
    label: Callable[[Sequence[str], int], Labels],
    options: ImageOptions,
    print_line: PrintLine,
) -> ImageSource:
    """Check the headers of the images at `paths` in a tree; decode them when they are read.

    Args:
        label: Labels those of the images that are kept; its other argument is how many were
            asked for.
    """
    require_opaque_color(options.alpha_color, "--alpha-color")
    wanted = _get_requested_size(options)
    taken = [paths[row] for row in select_rows(len(paths), options.max_images, options.seed)]
    headers, unreadable = read_usable_headers(
        source, tree, taken, options.on_error, lambda item: _describe_fault(item, tree, options)
    )
    for line in _describe_conversions(headers, tree, options):
        print_line(line)
    kept = [header.path for header in headers]
    labels = label(kept, len(taken))
    size = _choose_size(headers, wanted, options, print_line)
    channels = options.channels or require_common_channels(headers)
    return ImageSource(
        description=str(source.resolve()),
        resolution=1 << level_of(min(size)),
        base=compute_base_size(size),
        channels=channels,
        count=len(headers),
        read=_make_image_reader(tree, headers, size, channels, options),
        labels=labels.labels,
        label_names=labels.names,
        skipped=tuple(unreadable),
        identity=hash_headers(headers),
    )


def _make_image_reader(
    tree: FileReader,
    headers: Sequence[ImageHeader],
    size: Size,
    channels: int,
    options: ImageOptions,
) -> Callable[[int], Sample]:
    """Return a function that decodes, converts and resizes one image by its number."""
    duplicates = find_duplicates((header.path, header.digest) for header in headers)

    def read(row: int) -> Sample:
        path = headers[row].path
        image = decode_srgb(tree.read(path), path, options.white_level)
        is_random = options.crop == "random"
        pixels = convert_and_resize(
            image,
            channels=channels,
            size=size,
            crop=options.crop,
            resize_filter=options.resize_filter,
            position=choose_random_crop_position(path, options.seed or 0) if is_random else None,
            background=options.alpha_color,
        )
        # Transparency may have hidden what differs.
        constant = is_constant(image) or bool((pixels == pixels[0, 0]).all())
        reason = CONSTANT if constant else duplicates.get(path)
        return Sample(pixels, doubt=SkippedImage(path, reason) if reason else None)

    return read


def describe_oversize(width: int, height: int) -> str:
    """Describe an image of more px than Pillow accepts; '' for any other."""
    most = Image.MAX_IMAGE_PIXELS
    if not most or width * height <= most:
        return ""
    return f"{width}x{height} pixels, which may be a decompression bomb"


def is_constant(image: Image.Image) -> bool:
    """True if all pixels of an image are equal."""
    right, bottom = image.width - 1, image.height - 1
    places = ((right, bottom), (right, 0), (0, bottom), (right // 2, bottom // 2))
    first = image.getpixel((0, 0))
    if any(image.getpixel(place) != first for place in places):
        return False  # nearly all images end here, without a look at every pixel
    if image.mode.startswith("I;16"):  # Pillow lacks extrema in some byte orders
        values = np.asarray(image)
        return bool((values == values[0, 0]).all())
    ranges = image.getextrema()
    pairs = ranges if isinstance(ranges[0], tuple) else (ranges,)
    return all(low == high for low, high in pairs)


def find_duplicates(digests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map each path whose content an earlier one has to a message; `digests` of (path, hash)."""
    first: dict[str, str] = {}
    return {
        path: f"has the content of {first[digest]}"
        for path, digest in digests
        if first.setdefault(digest, path) != path
    }


def exclude_label_file(
    ignored: Iterable[IgnoredFile], source: Path | Url, labels: str
) -> list[IgnoredFile]:
    """Leave out the file that `--labels` reads, which is used though it is not an image."""
    if isinstance(source, Url):
        if labels != "auto":
            return list(ignored)  # a file of this machine, which is not below a URL
        source = Path()  # only paths below the source are compared
    file = source / STYLEGAN_FILE if labels == "auto" else Path(labels)
    return [
        item
        for item in ignored
        if Path(item.path).name != file.name
        or os.path.realpath(source / item.path) != os.path.realpath(file)
    ]


def _describe_fault(item: ImageHeader, tree: FileReader, options: ImageOptions) -> str:
    """Return why an image cannot be used, as far as that is known before all are read, or ''.

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


def choose_random_crop_position(path: str, seed: int) -> float:
    """Return a position in [0, 1) that depends on the path and the seed only."""
    return float(numpy_generator(seed, "crop", path).random())


def _get_requested_size(options: ImageOptions) -> Size | None:
    """Return the size that the user asks for, None if it is left to the images."""
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


def _choose_size(
    headers: Sequence[ImageHeader],
    wanted: Size | None,
    options: ImageOptions,
    print_line: PrintLine,
) -> Size:
    """Return the size of all images, and report a default or enlarged images."""
    size = wanted
    if size is None:
        resolution = largest_common_resolution(headers)
        size = Size(resolution, resolution)
        print_line(f"Resolution {resolution}, the largest that no image has to be enlarged for.")
    if enlarged := count_enlarged(headers, size, options.crop):
        print_line(
            f"{enlarged:,} of {format_count(len(headers), 'image')} "
            f"{pluralize(enlarged, 'is', 'are')} smaller than {size} and will be enlarged."
        )
    return size


def _describe_conversions(
    headers: Sequence[ImageHeader], tree: FileReader, options: ImageOptions
) -> Iterator[str]:
    """Yield one line for each kind of conversion or neglect, with the number of images.

    16-bit images are decoded for it, until it is certain that they are not a set of fewer bits.
    """
    yield from summarize_notes(headers)
    transparent = sum(item.channels == 4 for item in headers)
    if transparent and options.channels in (1, 3):
        yield (
            f"{transparent} of {len(headers)} images: transparency is laid on "
            f"{options.alpha_color}."
        )
    kinds: tuple[BitDepth, ...] = ("grey", "colour")
    if options.white_level is not None:
        yield from _describe_clipping(headers, tree, options.white_level)
        kinds = ("colour",)
    for kind in kinds:
        paths = [item.path for item in headers if item.depth == kind]
        found = find_partial_range(kind, _read_peaks(tree, paths, until_bright=True))
        if found is not None:
            yield _describe_dark_images(found)


def _describe_dark_images(found: PartialRange) -> str:
    """Describe 16-bit images that use the lower bits only, with the remedy."""
    what = "16-bit grey" if found.kind == "grey" else "16-bit colour"
    others = found.total - len(found.paths)
    apart = f" Import the other {others} apart from them." if others else ""
    return (
        f"{len(found.paths)} of {found.total} {what} images: {found.explanation}, such as "
        f"{found.paths[0]}. To mend it: {found.remedy}.{apart}"
    )


def _describe_clipping(
    headers: Sequence[ImageHeader], tree: FileReader, white: float
) -> Iterator[str]:
    """Describe images with values above the white level, or far below, or no deep images."""
    paths = [item.path for item in headers if item.depth in ("grey", "float")]
    if not paths:
        yield "--white-level has no effect: no image has one channel of more than 8 bits."
        return
    peaks = _read_peaks(tree, paths)
    above = {path: peak for path, peak in peaks.items() if peak > white}
    if above:
        path = max(above, key=above.__getitem__)
        yield (
            f"{len(above)} of {len(paths)} images have values above --white-level {white:g}, "
            f"which become white too, such as {path} with {above[path]:g}."
        )
    if max(peaks.values(), default=white) < white / 4:
        yield (
            f"The largest value of these images is {max(peaks.values()):g}, far below "
            f"--white-level {white:g}: they become dark."
        )


def _read_peaks(
    tree: FileReader, paths: Sequence[str], until_bright: bool = False
) -> dict[str, float]:
    """Decode images, and return {path: largest value} of those that can be decoded."""
    peaks: dict[str, float] = {}
    num_bright = 0
    for path in tqdm(paths, **PROGRESS_BAR):
        try:
            with open_image(tree.read(path), path, load=True) as image:
                peaks[path] = find_peak(image)
        except UnreadableImage:
            continue  # named when the images are written
        num_bright += exceeds_14_bits(peaks[path])
        if until_bright and num_bright > _MOST_BRIGHT * len(paths):
            break
    return peaks
