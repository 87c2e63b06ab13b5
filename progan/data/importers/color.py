"""Colour profiles (ICC) -> sRGB, and pixels of more than 8 bits -> 8 bits."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageCms

# In-gamut colours keep their values exactly, whichever program made the profile; perceptual
# tables shift all colours, each vendor's in its own way.
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_BLACK_POINT_COMPENSATION: Any = 0x2000  # ImageCms.Flags is not there before Pillow 10.3
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # mode -> colour space of fitting profiles
# Modes -> the mode with the same colours that a profile can be applied to.
_PLAIN = {
    **dict.fromkeys(("I", "I;16", "I;16B", "I;16L", "I;16N", "L", "LA", "La"), "L"),
    **dict.fromkeys(("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV"), "RGB"),
    "CMYK": "CMYK",
}
_MAX_UNNOTICED = 2  # levels out of 255; a profile that changes less is taken for sRGB
_BROKEN = "broken"
WHITE_16_BIT = 65535
BitDepth = Literal["", "grey", "colour", "float"]  # kind of pixels above 8 bits; '': 8 bits
_PARTIAL = (8, 10, 12, 14)  # bits that cameras, scanners and depth sensors deliver in 16
_MOST_PARTIAL = 16383
_MOST_WHOLE = 2**53  # largest white value of images computed in 64-bit integers
_SET = 0.9  # share of the images that makes a set dark; a single dark image does not


class ProfileConversion(NamedTuple):
    """The conversion by the colour profile of an image, if any."""

    transform: ImageCms.ImageCmsTransform | None = None  # None: nothing to do
    name: str = ""  # name of the profile that is applied
    fault: str = ""  # reason why the profile is ignored


NOTHING = ProfileConversion()


def plan_profile_conversion(image: Image.Image) -> ProfileConversion:
    """Plan the conversion by the profile in `image.info`."""
    profile = image.info.get("icc_profile", b"")
    if profile == b"" or image.mode not in _PLAIN:
        return NOTHING
    if not isinstance(profile, bytes):
        return ProfileConversion(fault=_BROKEN)
    return _plan_profile(profile, _PLAIN[image.mode])


def apply_profile(image: Image.Image, conversion: ProfileConversion) -> Image.Image:
    """Apply a conversion: grey stays grey, CMYK becomes RGB, transparency stays as it is."""
    if conversion.transform is None:
        return image
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if "transparency" in image.info or image.mode == "PA":
        image = image.convert("RGBA")
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    plain = "L" if image.mode in ("L", "LA") else str(conversion.transform.input_mode)
    converted = conversion.transform.apply(image if image.mode == plain else image.convert(plain))
    if conversion.transform.input_mode == "L":
        converted = converted.convert("L")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image of Pillow's mode LAB to RGB."""
    return _make_lab_transform().apply(image)


@lru_cache(1)
def _make_lab_transform() -> ImageCms.ImageCmsTransform:
    """Return the transform from CIELAB to sRGB, made once."""
    return _make_srgb_transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")


def _make_srgb_transform(
    profile: ImageCms.ImageCmsProfile, mode: str
) -> ImageCms.ImageCmsTransform:
    """Return the transform from a profile, for pixels of `mode`, to sRGB."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.ImageCmsTransform(
        profile, srgb, mode, "RGB", INTENT, flags=_BLACK_POINT_COMPENSATION
    )


@lru_cache(32)  # the images of a set share a few profiles
def _plan_profile(data: bytes, mode: str) -> ProfileConversion:
    """Plan the conversion from a profile, for pixels of one of the modes of _SPACES."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space != _SPACES[mode]:
            return _plan_mismatched_profile(profile, space, mode)
        transform = _make_srgb_transform(profile, mode)
        if mode != "CMYK" and _is_identity(transform, mode):
            return NOTHING
        return ProfileConversion(transform, _get_profile_name(profile))
    except ImportError:
        return ProfileConversion(fault="not read, as this Pillow has no LittleCMS")
    except Exception:  # LittleCMS names no kinds of errors
        return ProfileConversion(fault=_BROKEN)


def _plan_mismatched_profile(
    profile: ImageCms.ImageCmsProfile, space: str, mode: str
) -> ProfileConversion:
    """Plan for a profile of other pixels: a fault, but nothing for sRGB in a grey image."""
    if (space, mode) == ("RGB", "L") and _is_identity(_make_srgb_transform(profile, "RGB"), "RGB"):
        return NOTHING
    return ProfileConversion(fault=f"made for {space}, not for {_SPACES[mode]} pixels")


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """True if a transform leaves all greys, or colours all over the cube, nearly unchanged."""
    if mode == "L":
        before = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
        after = np.asarray(transform.apply(Image.fromarray(before[:, :, 0])))
    else:
        axis = np.arange(0, 256, 15, dtype=np.uint8)
        before = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(1, -1, 3)
        after = np.asarray(transform.apply(Image.fromarray(before)))
    return int(np.abs(after.astype(int) - before).max()) <= _MAX_UNNOTICED


def _get_profile_name(profile: ImageCms.ImageCmsProfile) -> str:
    """Return the description of a profile, or a substitute where it has none."""
    try:
        text = ImageCms.getProfileDescription(profile)
    except ImageCms.PyCMSError:
        text = ""
    return " ".join("".join(filter(str.isprintable, text)).split())[:60] or "without a name"


@dataclass(frozen=True, slots=True)
class PartialRange:
    """A set of 16-bit images that nearly all use only the lower bits."""

    kind: BitDepth  # 'grey' or 'colour'
    paths: tuple[str, ...]  # the dark images
    total: int  # images of that kind, dark or not
    peak: int  # largest value in the dark ones
    bits: int  # the smallest usual number of bits that holds it

    @property
    def explanation(self) -> str:
        """Return the end of a sentence: how dark these images would be, and why."""
        seen = "dark" if self.peak > _MOST_PARTIAL // 4 else "almost black"
        return (
            f"no value above {self.peak} of {WHITE_16_BIT}, as of {self.bits} bits stored in "
            f"16, and so {seen}"
        )

    @property
    def remedy(self) -> str:
        """Describe to people how to convert them."""
        if self.kind == "grey":
            white = 2**self.bits - 1
            return f"--white-level {white} makes {white} white"
        return (
            "scale them first, such as with ImageMagick: magick IN.png -evaluate multiply "
            f"{2 ** (16 - self.bits)} OUT.png"
        )


def exceeds_14_bits(peak: float) -> bool:
    """Check if an image with this largest value uses more than the lower 14 bits of 16."""
    return peak > _MOST_PARTIAL


def find_partial_range(kind: BitDepth, peaks: Mapping[str, float]) -> PartialRange | None:
    """Find a set of dark 16-bit images by all images of a kind, {path: largest value}."""
    dark = {path: int(peak) for path, peak in peaks.items() if not exceeds_14_bits(peak)}
    peak = max(dark.values(), default=0)
    if not peak or len(dark) < _SET * len(peaks):
        return None
    bits = next(bits for bits in _PARTIAL if peak < 2**bits)
    return PartialRange(kind, tuple(dark), len(peaks), peak, bits)


def read_bit_depth(image: Image.Image, data: bytes) -> BitDepth:
    """Return 'float', 'grey' or 'colour' for more than 8 bits by the header, else ''."""
    if image.mode == "F":
        return "float"
    if image.mode.startswith("I"):
        return "grey"
    if image.format == "PNG":
        return "colour" if data[24:25] == b"\x10" else ""
    bits = getattr(image, "tag_v2", {}).get(258)
    return "colour" if isinstance(bits, tuple) and set(bits) == {16} else ""


def find_peak(image: Image.Image) -> float:
    """Return the largest value of a decoded image, an upper bound for 16-bit colours.

    Pillow keeps only the upper 8 bits of those.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return float(np.asarray(image).max())
    ranges = image.getextrema()
    pairs = ranges if isinstance(ranges[0], tuple) else (ranges,)
    colours = pairs[:-1] if image.mode in ("RGBA", "LA") else pairs
    return float(max(high for _, high in colours) * 256 + 255)


def scale_to_8_bits(image: Image.Image, white: float = WHITE_16_BIT) -> Image.Image:
    """Scale grey values to 8 bits, rounded, so that `white` and all above are 255."""
    values = np.asarray(image)
    if image.mode == "F" or white != int(white) or white > _MOST_WHOLE:
        scaled = np.rint(values.astype(np.float64) * (255 / white))
    else:
        whole = int(white)
        scaled = (values.astype(np.int64) * 510 + whole) // (2 * whole)
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))


def describe_white_level_fault(image: Image.Image, white: float | None) -> str:
    """Return why 32-bit or floating-point grey cannot be scaled to 8 bits; '' if it can."""
    if image.mode not in ("I", "F"):
        return ""
    values = np.asarray(image)
    if not np.isfinite(values).all():
        return "32-bit floating-point values that are not all finite; replace NaN and infinity"
    if white is not None:
        return ""
    low, high = values.min(), values.max()
    if image.mode == "I" and low >= 0 and high <= WHITE_16_BIT:
        return ""
    what = "32-bit grey values" if image.mode == "I" else "32-bit floating-point values"
    return (
        f"{what} from {low:g} to {high:g}: none of them is known as white; name one for "
        "create-from-images with --white-level"
    )
