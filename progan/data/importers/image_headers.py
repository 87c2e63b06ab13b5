"""Read the headers of all images before anything is written; report faults and conversions."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from tqdm import tqdm

from progan.data.format import SkippedImage
from progan.data.image_source import OnError, UnreadableImage, format_skipped, require_readable
from progan.data.importers.color import BitDepth, plan_profile_conversion, read_bit_depth
from progan.data.importers.file_source import FileReader
from progan.data.importers.ignored_files import SIGNATURE_BYTES, is_heif
from progan.data.importers.metadata import (
    ORIENTATION_TAG,
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
    compute_band_width,
    count_native_channels,
    open_image,
)
from progan.data.importers.remote import Url
from progan.errors import UserError
from progan.runtime.workers import map_in_order, worker_pool
from progan.sizes import MAX_LEVEL, MIN_LEVEL, Size, level_of

_LAYERED = {"PSD", "IM", "SPIDER"}  # formats whose further frames are not images of a series
_SRGB_GAMMA_PERMILLE = 455  # in the chunk gAMA of a PNG file
_NUM_DETAILS = 3
PROGRESS_BAR: Any = {"unit": "img", "desc": "checking", "disable": None, "leave": False}

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


class Note(NamedTuple):
    """Something that is ignored or converted in an image; `kind` may be a key of SUMMARIES."""

    kind: str
    detail: str  # continues 'the image …'
    short: str = ""  # what differs among the images of a kind


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """An image as its header describes it, without decoding."""

    path: str
    width: int  # px, upright
    height: int
    channels: int
    digest: str  # SHA-256 of the file in hexadecimal
    depth: BitDepth
    notes: tuple[Note, ...]  # what is ignored or converted

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


def read_header(data: bytes, path: str) -> ImageHeader:
    """Read the header of one image file; raises UnreadableImage."""
    try:
        with open_image(data, path, load=has_risky_png_tail(data)) as image:
            orientation = _read_orientation(image, data)
            channels = count_native_channels(image, path)
            depth = read_bit_depth(image, data)
            return ImageHeader(
                path,
                *_compute_upright_size(image, orientation),
                channels,
                sha256(data).hexdigest(),
                depth,
                tuple(_list_notes(image, orientation, channels, depth)),
            )
    except UnreadableImage as error:
        if is_heif(data[:SIGNATURE_BYTES]):  # phones send such files with the suffix .jpg
            raise UnreadableImage(
                path,
                "a HEIC, HEIF or AVIF image that cannot be decoded, "
                "whatever its suffix; convert it to JPEG or PNG",
            ) from error
        raise


def summarize_notes(headers: Sequence[ImageHeader]) -> Iterator[str]:
    """Yield a line for each kind in SUMMARIES that the images have."""
    for kind, what in SUMMARIES.items():
        found = [(item.path, note) for item in headers for note in item.notes if note.kind == kind]
        if found:
            shorts = Counter(note.short for _, note in found if note.short)
            yield (
                f"{len({path for path, _ in found})} of {len(headers)} images: {what}"
                f"{_format_counts(shorts)}, such as {found[0][0]}."
            )


def _format_counts(counts: Counter[str]) -> str:
    """Return ' (Display P3: 12, others: 3)', most frequent first; '' without counts."""
    most = counts.most_common(_NUM_DETAILS)
    parts = [f"{text}: {count}" for text, count in most]
    if rest := counts.total() - sum(count for _, count in most):
        parts.append(f"others: {rest}")
    return f" ({', '.join(parts)})" if parts else ""


def _read_orientation(image: Image.Image, data: bytes) -> Orientation:
    """Read the orientation, in TIFF by its tag, in PNG also from EXIF behind the pixels."""
    if image.format == "TIFF":  # which Pillow turns itself, by XMP if it has no tag
        value = image.tag_v2.get(ORIENTATION_TAG)  # type: ignore[attr-defined]
        if value is None:
            return read_orientation(image.info)
        if isinstance(value, int) and 1 <= value <= 8:
            return Orientation(value)
        return Orientation(fault="EXIF orientation is not 1 to 8")
    if image.format == "PNG" and "exif" not in image.info:
        exif = find_png_exif(data)
        if exif is not None:
            return parse_exif_orientation(exif) or Orientation()
    return read_orientation(image.info)


def _compute_upright_size(image: Image.Image, orientation: Orientation) -> tuple[int, int]:
    """Return (width, height) after the EXIF orientation is applied."""
    width, height = image.size
    if image.format == "TIFF":  # whose `size` is upright or not, by the version of Pillow
        tags = image.tag_v2  # type: ignore[attr-defined]
        width, height = tags[256], tags[257]
    return (height, width) if orientation.swaps_sides else (width, height)


def _list_notes(
    image: Image.Image, orientation: Orientation, channels: int, depth: BitDepth
) -> Iterator[Note]:
    """Yield what is ignored or converted in an image: metadata, rotation, colours, depth."""
    for fault in (image.info.get(REMOVED_METADATA), orientation.fault):
        if fault:
            yield Note("metadata", f"has damaged metadata, which are ignored: {fault}", fault)
    if image.mode.startswith("I") and "transparency" in image.info:
        short = "transparent value of 16-bit grey"
        yield Note("metadata", f"has metadata that are ignored: {short}", short)
    if orientation.value != UPRIGHT:
        detail = f"is turned or mirrored, says its EXIF orientation {orientation.value}"
        yield Note("rotated", detail)
    yield from _list_colour_notes(image)
    if depth:
        kind = "float" if depth == "float" else "16-bit"
        yield Note(kind, "has more than 8 bits for each channel")
    if channels == 4:
        yield Note("alpha", "has transparency")
    if image.format not in _LAYERED and _has_several_frames(image):
        yield Note("frames", "has more than one frame")


def _list_colour_notes(image: Image.Image) -> Iterator[Note]:
    """Yield notes on profile, gamma, palette, CMYK and CIELAB."""
    transform, name, fault = plan_profile_conversion(image)
    if transform is not None:
        yield Note("profile", f"has the colour profile {name!r}", name)
    if fault:
        yield Note("profile-ignored", f"has a colour profile that is {fault}", fault)
    gamma = image.info.get("gamma")
    if (
        isinstance(gamma, float)
        and {"icc_profile", "srgb"}.isdisjoint(image.info)
        and round(1000 * gamma) != _SRGB_GAMMA_PERMILLE
    ):
        yield Note("gamma", f"has the gamma {gamma:g}, not that of sRGB", f"{gamma:g}")
    if image.mode in ("P", "PA"):
        yield Note("palette", "has a palette of colours")
    if image.mode == "CMYK" and transform is None:
        yield Note("CMYK", "has the inks of print, CMYK")
    if image.mode == "LAB":
        yield Note("LAB", "has the colours of CIELAB")


def _has_several_frames(image: Image.Image) -> bool:
    """True if an image is animated or its second frame is damaged."""
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # the second one is damaged
        return True


def read_headers(
    tree: FileReader, paths: Sequence[str]
) -> tuple[list[ImageHeader], list[SkippedImage]]:
    """Return the headers in the order of the paths, and the files that have none."""
    headers, unreadable = [], []
    workers = os.cpu_count() or 1

    def read(path: str) -> ImageHeader | SkippedImage:
        try:
            return read_header(tree.read(path), path)
        except UnreadableImage as error:
            return SkippedImage(error.path, error.reason)

    with worker_pool(workers, in_processes=False) as pool:
        found = map_in_order(pool, read, paths, ahead=4 * workers)
        for item in tqdm(found, total=len(paths), **PROGRESS_BAR):
            if isinstance(item, ImageHeader):
                headers.append(item)
            else:
                unreadable.append(item)
    return headers, unreadable


def hash_headers(headers: Sequence[ImageHeader]) -> str:
    """Hash paths, contents and properties of images."""
    digest = sha256()
    for header in headers:  # one by one, as the text of millions would take gigabytes
        digest.update(repr(header).encode())
    return digest.hexdigest()


def read_usable_headers(
    source: Path | Url,
    tree: FileReader,
    paths: Sequence[str],
    on_error: OnError,
    fault: Callable[[ImageHeader], str] = lambda header: "",
) -> tuple[list[ImageHeader], list[SkippedImage]]:
    """Return the headers of all images that can be used, and the others.

    Args:
        fault: Returns what is wrong with an image, '' if nothing.

    Raises:
        UserError: Some cannot be used, and errors are to stop; or none can.
    """
    headers, unreadable = read_headers(tree, paths)
    faults = {header.path: reason for header in headers if (reason := fault(header))}
    unreadable += [SkippedImage(path, reason) for path, reason in faults.items()]
    if on_error == "stop":
        require_readable(source, len(paths), unreadable)
    headers = [header for header in headers if header.path not in faults]
    if not headers:
        raise UserError(
            f"None of the images in {source} can be read:\n{format_skipped(unreadable)}"
        )
    return headers, unreadable


def require_common_channels(headers: Sequence[ImageHeader]) -> int:
    """Return the number of channels that all images have; UserError if they differ."""
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
    """Return the largest resolution, up to 1024, for which no image has to be enlarged."""
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
    """Count the images that have fewer pixels than the size asks for."""
    return sum(_is_enlarged(header.width, header.height, size, crop) for header in headers)


def _is_enlarged(width: int, height: int, size: Size, crop: Crop) -> bool:
    """Check if fewer px of an image than of `size` become its width or its height."""
    if crop == "wide":
        return compute_band_width(width, height, size.width) < size.width
    lacking = width < size.width, height < size.height
    return all(lacking) if crop == "pad" else any(lacking)
