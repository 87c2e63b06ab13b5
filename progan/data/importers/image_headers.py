"""Read the header of every image before anything is written; report all faults and conversions."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tqdm import tqdm

from progan.data.format import SkippedImage
from progan.data.image_source import OnError, UnreadableImage, format_skipped, require_readable
from progan.data.importers.color import (
    BitDepth,
    PartialRange,
    exceeds_14_bits,
    find_partial_range,
    find_peak,
    plan_profile_conversion,
    read_bit_depth,
)
from progan.data.importers.file_source import FileSource
from progan.data.importers.ignored_files import SIGNATURE_BYTES, is_heif
from progan.data.importers.metadata import (
    UPRIGHT,
    Orientation,
    find_png_exif,
    has_risky_png_tail,
    parse_exif_orientation,
    read_orientation,
)
from progan.data.importers.pixels import (
    REMOVED_METADATA,
    Crop,
    band_width,
    count_native_channels,
    open_image,
)
from progan.errors import UserError
from progan.runtime.workers import in_order, worker_pool
from progan.sizes import MAX_LEVEL, MIN_LEVEL, Size, level_of

_LAYERED = {"PSD", "IM", "SPIDER"}  # formats whose further frames are no images of a series
_PERMILLE_OF_GAMMA = 455  # of sRGB, in the chunk gAMA of a PNG file
_NUM_DETAILS = 3

# kind of a note -> what creation says of all such images; others are said by `check` alone.
SUMMARIES = {
    "metadata": "damaged metadata are ignored, the pixels are used",
    "rotated": "turned upright by their EXIF orientation",
    "profile": "colours converted to sRGB by their colour profile",
    "profile-ignored": "colour profile ignored",
    "gamma": "colours taken for sRGB, though the file names another gamma",
    "frames": "only the first frame is taken",
    "CMYK": "converted from CMYK without a colour profile, so colours are approximate",
    "LAB": "converted from CIELAB to sRGB",
    "16-bit": "reduced to 8 bits per channel",
    "float": "floating-point values scaled to 8 bits by --white-level",
}
_KINDS = {1: "grey (1 channel)", 3: "colour (3 channels)", 4: "with transparency (4 channels)"}
_MOST_BRIGHT = 0.1  # share of bright images from which no set is dark, whatever the others are


class Note(NamedTuple):
    """Something that is ignored or converted in an image; `kind` may be a key of SUMMARIES."""

    kind: str
    detail: str  # continues 'the image …'
    short: str = ""  # what differs among the images of a kind


class Inspected(NamedTuple):
    """An image as its header describes it."""

    size: tuple[int, int]  # width, height in px, upright
    channels: int
    depth: BitDepth
    notes: tuple[Note, ...]


def inspect_image(data: bytes, path: str) -> Inspected:
    """Read the header of an image; raises UnreadableImage."""
    with open_image(data, path, load=has_risky_png_tail(data)) as image:
        orientation = _orientation(image, data)
        size = _upright_size(image, orientation)
        channels = count_native_channels(image, path)
        depth = read_bit_depth(image, data)
        notes = (
            *_metadata_notes(image, orientation),
            *_colour_notes(image, channels, depth),
            *_frame_notes(image),
        )
        return Inspected(size, channels, depth, notes)


def read_peak(data: bytes, path: str) -> float:
    """Decode an image, and return its largest value on the scale of its depth."""
    with open_image(data, path, load=True) as image:
        return find_peak(image)


def summarize_notes(images: Sequence[tuple[str, Sequence[Note]]], total: int) -> Iterator[str]:
    """One line for each kind in SUMMARIES of what is done to the images, (path, notes)."""
    for kind, what in SUMMARIES.items():
        found = [(path, note) for path, notes in images for note in notes if note.kind == kind]
        if found:
            shorts = Counter(note.short for _, note in found if note.short)
            yield (
                f"{len({path for path, _ in found})} of {total} images: {what}"
                f"{_in_parentheses(shorts)}, such as {found[0][0]}."
            )


def _in_parentheses(counts: Counter[str]) -> str:
    """' (Display P3: 12, Adobe RGB (1998): 3)'; '' of nothing."""
    parts = [f"{text}: {count}" for text, count in counts.most_common(_NUM_DETAILS)]
    rest = counts.total() - sum(count for _, count in counts.most_common(_NUM_DETAILS))
    parts += [f"others: {rest}"] * bool(rest)
    return f" ({', '.join(parts)})" if parts else ""


def _orientation(image: Image.Image, data: bytes) -> Orientation:
    if image.format == "TIFF":  # which Pillow turns itself
        value = image.tag_v2.get(274, UPRIGHT)  # type: ignore[attr-defined]
        is_known = isinstance(value, int) and 1 <= value <= 8
        return (
            Orientation(value) if is_known else Orientation(fault="EXIF orientation is not 1 to 8")
        )
    if (
        image.format == "PNG"
        and "exif" not in image.info
        and (exif := find_png_exif(data)) is not None
    ):
        return parse_exif_orientation(exif) or Orientation()
    return read_orientation(image.info)


def _upright_size(image: Image.Image, orientation: Orientation) -> tuple[int, int]:
    width, height = image.size
    if image.format == "TIFF":  # whose `size` is upright or not, by the version of Pillow
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = tags[256], tags[257]
    return (height, width) if orientation.swaps_sides else (width, height)


def _metadata_notes(image: Image.Image, orientation: Orientation) -> Iterator[Note]:
    for fault in (image.info.get(REMOVED_METADATA), orientation.fault):
        if fault:
            yield Note("metadata", f"has damaged metadata, which are ignored: {fault}", fault)
    if image.mode.startswith("I") and "transparency" in image.info:
        short = "transparent value of 16-bit grey"
        yield Note("metadata", f"has metadata that are ignored: {short}", short)
    if orientation.value != UPRIGHT:
        yield Note(
            "rotated", f"is turned or mirrored, says its EXIF orientation {orientation.value}"
        )


def _colour_notes(image: Image.Image, channels: int, depth: BitDepth) -> Iterator[Note]:
    mode, (transform, name, fault) = image.mode, plan_profile_conversion(image)
    if transform is not None:
        yield Note("profile", f"has the colour profile {name!r}", name)
    if fault:
        yield Note("profile-ignored", f"has a colour profile that is {fault}", fault)
    gamma = image.info.get("gamma")
    if (
        isinstance(gamma, float)
        and not {"icc_profile", "srgb"} & set(image.info)
        and (round(1000 * gamma) != _PERMILLE_OF_GAMMA)
    ):
        yield Note("gamma", f"has the gamma {gamma:g}, not that of sRGB", f"{gamma:g}")
    if mode in ("P", "PA"):
        yield Note("palette", "has a palette of colours")
    if mode == "CMYK" and transform is None:
        yield Note("CMYK", "has the inks of print, CMYK")
    if mode == "LAB":
        yield Note("LAB", "has the colours of CIELAB")
    if depth:
        yield Note(
            "float" if depth == "float" else "16-bit", "has more than 8 bits for each channel"
        )
    if channels == 4:
        yield Note("alpha", "has transparency")


def _frame_notes(image: Image.Image) -> Iterator[Note]:
    if image.format in _LAYERED:
        return
    try:
        several = bool(getattr(image, "is_animated", False))
    except Exception:  # the second one is damaged
        several = True
    if several:
        yield Note("frames", "has more than one frame")


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What is known of an image without decoding it; its size is that of the upright image."""

    path: str
    width: int  # px, upright
    height: int
    channels: int
    digest: str  # SHA-256 of the file in hexadecimal
    depth: BitDepth
    notes: tuple[Note, ...]  # what is ignored or converted


def read_headers(
    tree: FileSource, paths: Sequence[str]
) -> tuple[list[ImageHeader], list[SkippedImage]]:
    """Return the headers in the order of the paths, and the files that have none."""
    workers = os.cpu_count() or 1
    with worker_pool(workers, in_processes=False) as pool:
        found = [
            *tqdm(
                in_order(pool, partial(_header_or_fault, tree), paths, ahead=4 * workers),
                total=len(paths),
                unit="img",
                desc="checking",
                disable=None,
                leave=False,
            )
        ]
    return (
        [item for item in found if isinstance(item, ImageHeader)],
        [item for item in found if isinstance(item, SkippedImage)],
    )


def _header_or_fault(tree: FileSource, path: str) -> ImageHeader | SkippedImage:
    try:
        return read_header(tree.read(path), path)
    except UnreadableImage as error:
        return SkippedImage(error.path, error.reason)


def read_header(data: bytes, path: str) -> ImageHeader:
    """Read the header of one image file; raises UnreadableImage."""
    try:
        found = inspect_image(data, path)
    except UnreadableImage as error:
        if is_heif(data[:SIGNATURE_BYTES]):  # as telephones name them when they send them
            raise UnreadableImage(
                path,
                "a HEIC, HEIF or AVIF image that cannot be decoded, "
                "whatever its suffix; convert it to JPEG or PNG",
            ) from error
        raise
    return ImageHeader(
        path, *found.size, found.channels, sha256(data).hexdigest(), found.depth, found.notes
    )


def read_usable_headers(
    source: Path,
    tree: FileSource,
    paths: Sequence[str],
    on_error: OnError,
    fault: Callable[[ImageHeader], str] = lambda header: "",
) -> tuple[list[ImageHeader], list[SkippedImage]]:
    """Return the headers of all images that can be used, and the others.

    Args:
        fault: Says what is wrong with an image; '' if nothing.

    Raises:
        UserError: Some cannot be used, and errors are to stop; or none can.
    """
    headers, unreadable = read_headers(tree, paths)
    unreadable += [
        SkippedImage(header.path, reason) for header in headers if (reason := fault(header))
    ]
    if on_error == "stop":
        require_readable(source, len(paths), unreadable)
    headers = [header for header in headers if not fault(header)]
    if not headers:
        raise UserError(
            f"None of the images in {source} can be read:\n{format_skipped(unreadable)}"
        )
    return headers, unreadable


def require_common_channels(headers: Sequence[ImageHeader]) -> int:
    """The number of channels that all images have; UserError if they differ."""
    examples = {header.channels: header.path for header in reversed(headers)}
    if len(examples) > 1:
        counts = {kind: sum(header.channels == kind for header in headers) for kind in examples}
        lines = "\n".join(
            f"  {counts[kind]} {_KINDS[kind]}, such as {examples[kind]}"
            for kind in sorted(examples)
        )
        raise UserError(
            f"The images are not all of one kind:\n{lines}\nMake them alike with "
            "--channels 1, --channels 3 or --channels 4."
        )
    return headers[0].channels


def largest_common_resolution(headers: Sequence[ImageHeader]) -> int:
    """The largest resolution, up to 1024, for which no image has to be enlarged."""
    smallest = min(headers, key=lambda header: min(header.width, header.height))
    side = min(smallest.width, smallest.height)
    if side < 2**MIN_LEVEL:
        raise UserError(
            f"{smallest.path} has only {smallest.width}x{smallest.height} pixels, "
            f"less than the {2**MIN_LEVEL} of the smallest resolution. Remove it, or "
            "name a --resolution to enlarge it to."
        )
    return int(2 ** min(level_of(side), MAX_LEVEL))


def count_enlarged(headers: Sequence[ImageHeader], size: Size, crop: Crop) -> int:
    """How many images have fewer pixels than the size asks for."""
    return sum(_is_enlarged(header.width, header.height, size, crop) for header in headers)


def _is_enlarged(width: int, height: int, size: Size, crop: Crop) -> bool:
    """Whether fewer px of an image than of `size` become its width or its height."""
    if crop == "wide":
        return band_width(width, height, size.width) < size.width
    lacking = width < size.width, height < size.height
    return all(lacking) if crop == "pad" else any(lacking)


def describe_conversions(
    headers: Sequence[ImageHeader],
    tree: FileSource,
    channels: int | None,
    background: str,
    white_level: float | None,
) -> Iterator[str]:
    """Yield one line for each kind of conversion or neglect, with the number of images.

    16-bit images are decoded for it, until it is certain that they are no set of fewer bits.
    """
    yield from summarize_notes([(item.path, item.notes) for item in headers], len(headers))
    transparent = sum(item.channels == 4 for item in headers)
    if transparent and channels in (1, 3):
        yield f"{transparent} of {len(headers)} images: transparency is laid on {background}."
    if white_level is not None:
        yield from _clipped_lines(headers, tree, white_level)
    kinds: tuple[BitDepth, ...] = ("colour",) if white_level is not None else ("grey", "colour")
    for kind in kinds:
        paths = [item.path for item in headers if item.depth == kind]
        found = find_partial_range(kind, _peaks(tree, paths, until_bright=True))
        if found is not None:
            yield _dark_line(found)


def _dark_line(found: PartialRange) -> str:
    what = "16-bit grey" if found.kind == "grey" else "16-bit colour"
    others = found.total - len(found.paths)
    apart = f" Import the other {others} apart from them." if others else ""
    return (
        f"{len(found.paths)} of {found.total} {what} images: {found.explanation}, such as "
        f"{found.paths[0]}. To mend it: {found.remedy}.{apart}"
    )


def _clipped_lines(headers: Sequence[ImageHeader], tree: FileSource, white: float) -> Iterator[str]:
    """Say how many images have values above the white level, or that it is for none of them."""
    paths = [item.path for item in headers if item.depth in ("grey", "float")]
    if not paths:
        yield "--white-level has no effect: no image has one channel of more than 8 bits."
        return
    peaks = _peaks(tree, paths)
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


def _peaks(tree: FileSource, paths: Sequence[str], until_bright: bool = False) -> dict[str, float]:
    """{path: largest value} of images that can be decoded."""
    peaks: dict[str, float] = {}
    num_bright = 0
    for path in tqdm(paths, unit="img", desc="checking", disable=None, leave=False):
        try:
            peaks[path] = read_peak(tree.read(path), path)
        except UnreadableImage:
            continue  # named when the images are written
        num_bright += exceeds_14_bits(peaks[path])
        if until_bright and num_bright > _MOST_BRIGHT * len(paths):
            break
    return peaks
