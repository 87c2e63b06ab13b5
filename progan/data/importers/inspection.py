"""What is known of an image without decoding it, and what create-from-images will do to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from progan.data.importers.depth import Depth, find_peak, read_depth
from progan.data.importers.metadata import has_doubtful_tail, png_exif_at_end
from progan.data.importers.orientation import UPRIGHT, Orientation, parse_exif, read_orientation
from progan.data.importers.pixels import LACKING, native_channels, opened
from progan.data.importers.profiles import plan_conversion

_LAYERED = {"PSD", "IM", "SPIDER"}  # formats whose further frames are no pictures of a series
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


class Note(NamedTuple):
    """Something that is ignored or converted in an image; `kind` may be a key of SUMMARIES."""

    kind: str
    detail: str  # continues 'the image …'
    short: str = ""  # what differs among the images of a kind


class Inspected(NamedTuple):
    """An image as its header describes it."""

    size: tuple[int, int]  # width, height in px, upright
    channels: int
    depth: Depth
    notes: tuple[Note, ...]


def inspect_image(data: bytes, path: str) -> Inspected:
    """Read the header of an image; raises UnreadableImage."""
    with opened(data, path, load=has_doubtful_tail(data)) as picture:
        orientation = _orientation(picture, data)
        size = _upright_size(picture, orientation)
        channels = native_channels(picture, path)
        depth = read_depth(picture, data)
        notes = (*_metadata_notes(picture, orientation), *_colour_notes(picture, channels, depth),
                 *_frame_notes(picture))
        return Inspected(size, channels, depth, notes)


def read_peak(data: bytes, path: str) -> float:
    """Decode an image, and return its largest value on the scale of its depth."""
    with opened(data, path, load=True) as picture:
        return find_peak(picture)


def summary_lines(images: Sequence[tuple[str, Sequence[Note]]], total: int) -> Iterator[str]:
    """One line for each kind in SUMMARIES of what is done to the images, (path, notes)."""
    for kind, what in SUMMARIES.items():
        found = [(path, note) for path, notes in images for note in notes if note.kind == kind]
        if found:
            shorts = Counter(note.short for _, note in found if note.short)
            yield (f"{len({path for path, _ in found})} of {total} images: {what}"
                   f"{_in_brackets(shorts)}, such as {found[0][0]}.")


def _in_brackets(counts: Counter[str]) -> str:
    """' (Display P3: 12, Adobe RGB (1998): 3)'; '' of nothing."""
    parts = [f"{text}: {count}" for text, count in counts.most_common(_NUM_DETAILS)]
    rest = counts.total() - sum(count for _, count in counts.most_common(_NUM_DETAILS))
    parts += [f"others: {rest}"] * bool(rest)
    return f" ({', '.join(parts)})" if parts else ""


def _orientation(picture: Image.Image, data: bytes) -> Orientation:
    if picture.format == "TIFF":  # which Pillow turns itself
        value = picture.tag_v2.get(274, UPRIGHT)  # type: ignore[attr-defined]
        is_known = isinstance(value, int) and 1 <= value <= 8
        return Orientation(value) if is_known else Orientation(
            fault="EXIF orientation is not 1 to 8")
    if (picture.format == "PNG" and "exif" not in picture.info
            and (exif := png_exif_at_end(data)) is not None):
        return parse_exif(exif) or Orientation()
    return read_orientation(picture.info)


def _upright_size(picture: Image.Image, orientation: Orientation) -> tuple[int, int]:
    width, height = picture.size
    if picture.format == "TIFF":  # whose `size` is upright or not, by the version of Pillow
        tags = picture.tag_v2  # type: ignore[attr-defined]
        width, height = tags[256], tags[257]
    return (height, width) if orientation.swaps_sides else (width, height)


def _metadata_notes(picture: Image.Image, orientation: Orientation) -> Iterator[Note]:
    for fault in (picture.info.get(LACKING), orientation.fault):
        if fault:
            yield Note("metadata", f"has damaged metadata, which are ignored: {fault}", fault)
    if picture.mode.startswith("I") and "transparency" in picture.info:
        short = "transparent value of 16-bit grey"
        yield Note("metadata", f"has metadata that are ignored: {short}", short)
    if orientation.value != UPRIGHT:
        yield Note("rotated", "is turned or mirrored, says its EXIF orientation "
                              f"{orientation.value}")


def _colour_notes(picture: Image.Image, channels: int, depth: Depth) -> Iterator[Note]:
    mode, (transform, name, fault) = picture.mode, plan_conversion(picture)
    if transform is not None:
        yield Note("profile", f"has the colour profile {name!r}", name)
    if fault:
        yield Note("profile-ignored", f"has a colour profile that is {fault}", fault)
    gamma = picture.info.get("gamma")
    if isinstance(gamma, float) and not {"icc_profile", "srgb"} & set(picture.info) and (
            round(1000 * gamma) != _PERMILLE_OF_GAMMA):
        yield Note("gamma", f"has the gamma {gamma:g}, not that of sRGB", f"{gamma:g}")
    if mode in ("P", "PA"):
        yield Note("palette", "has a palette of colours")
    if mode == "CMYK" and transform is None:
        yield Note("CMYK", "has the inks of print, CMYK")
    if mode == "LAB":
        yield Note("LAB", "has the colours of CIELAB")
    if depth:
        yield Note("float" if depth == "float" else "16-bit",
                   "has more than 8 bits for each channel")
    if channels == 4:
        yield Note("alpha", "has transparency")


def _frame_notes(picture: Image.Image) -> Iterator[Note]:
    if picture.format in _LAYERED:
        return
    try:
        several = bool(getattr(picture, "is_animated", False))
    except Exception:  # the second one is damaged
        several = True
    if several:
        yield Note("frames", "has more than one frame")
