"""Pixels of more than 8 bits -> 8 bits, and sets of them that use few of their bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

WHITE_16_BIT = 65535
Depth = Literal["", "grey", "colour", "float"]  # of pixels above 8 bits; '' of all others
_PARTIAL = (8, 10, 12, 14)  # bits that cameras, scanners and depth sensors deliver in 16
_MOST_PARTIAL = 16383
_SET = 0.9  # share of the images that makes a set dark; a single dark image does not


@dataclass(frozen=True, slots=True)
class PartialRange:
    """A set of 16-bit images that nearly all use only the lower bits.

    Attributes:
        kind: 'grey' or 'colour'.
        paths: The dark images.
        total: Images of that kind, dark or not.
        peak: Largest value in the dark ones.
        bits: The smallest usual number of bits that holds it.
    """

    kind: Depth
    paths: tuple[str, ...]
    total: int
    peak: int
    bits: int

    @property
    def white(self) -> int:
        """Largest value of so many bits."""
        return int(2**self.bits - 1)

    @property
    def explanation(self) -> str:
        """What is wrong with all of them, for people."""
        seen = "dark" if self.peak > _MOST_PARTIAL // 4 else "almost black"
        return (f"no value above {self.peak} of {WHITE_16_BIT}, as of {self.bits} bits stored in "
                f"16, and so {seen}")

    @property
    def remedy(self) -> str:
        """How to convert them, for people."""
        if self.kind == "grey":
            return f"--white-level {self.white} makes {self.white} white"
        return ("scale them first, such as with ImageMagick: magick IN.png -evaluate multiply "
                f"{2**(16 - self.bits)} OUT.png")


def is_bright(peak: float) -> bool:
    """Whether an image with this largest value uses more than the lower 14 bits of 16."""
    return peak > _MOST_PARTIAL


def find_partial_range(kind: Depth, peaks: Mapping[str, float]) -> PartialRange | None:
    """Decide by all 16-bit images of a kind, {path: largest value}, whether they are dark."""
    dark = {path: int(peak) for path, peak in peaks.items() if not is_bright(peak)}
    peak = max(dark.values(), default=0)
    if not peak or len(dark) < _SET * len(peaks):
        return None
    bits = next(bits for bits in _PARTIAL if peak < 2**bits)
    return PartialRange(kind, tuple(dark), len(peaks), peak, bits)


def read_depth(picture: Image.Image, data: bytes) -> Depth:
    """Depth of an image whose header is read; colours of 16 bits are read as 8 by Pillow."""
    if picture.mode == "F":
        return "float"
    if picture.mode.startswith("I"):
        return "grey"
    if picture.format == "PNG":
        return "colour" if data[24:25] == b"\x10" else ""
    bits = getattr(picture, "tag_v2", {}).get(258)
    return "colour" if isinstance(bits, tuple) and set(bits) == {16} else ""


def find_peak(picture: Image.Image) -> float:
    """Largest value of a decoded image; of 16-bit colours, of which Pillow keeps the upper 8 bits,
    the largest that it can have been."""
    if picture.mode.startswith("I") or picture.mode == "F":
        return float(np.asarray(picture).max())
    ranges = picture.getextrema()
    pairs = ranges if isinstance(ranges[0], tuple) else (ranges,)
    colours = pairs[:-1] if picture.mode in ("RGBA", "LA") else pairs
    return float(max(high for _, high in colours) * 256 + 255)


def to_eight_bits(picture: Image.Image, white: float = WHITE_16_BIT) -> Image.Image:
    """Scale grey values to 8 bits, rounded, so that `white` and all above are 255."""
    values = np.asarray(picture)
    if picture.mode == "F" or white != int(white):
        scaled = np.rint(values.astype(np.float64) * (255 / white))
    else:
        whole = int(white)
        scaled = (values.astype(np.int64) * 510 + whole) // (2 * whole)
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


def white_fault(picture: Image.Image, white: float | None) -> str:
    """Say why grey values of 32 bits or of floating point cannot be used; '' if they can."""
    if picture.mode not in ("I", "F"):
        return ""
    values = np.asarray(picture)
    if not np.isfinite(values).all():
        return "32-bit floating-point values that are not all finite; replace NaN and infinity"
    if white is not None:
        return ""
    low, high = values.min(), values.max()
    if picture.mode == "I" and low >= 0 and high <= WHITE_16_BIT:
        return ""
    what = "32-bit grey values" if picture.mode == "I" else "32-bit floating-point values"
    return (f"{what} from {low:g} to {high:g}: none of them is known as white; name one for "
            "create-from-images with --white-level")
