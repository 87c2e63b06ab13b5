"""Colour profiles (ICC) of images: conversion to sRGB."""

import io
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageCms

# In-gamut colours keep their values exactly, whichever program made the profile; perceptual
# tables shift all colours, each vendor's in its own way.
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_BLACK_POINT_COMPENSATION: Any = 0x2000  # ImageCms.Flags is not there before Pillow 10.3
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # mode -> colour space of fitting profiles
_PLAIN = {  # modes -> the mode with the same colours that a profile can be applied to
    "I": "L", "I;16": "L", "I;16B": "L", "I;16L": "L", "I;16N": "L", "L": "L", "LA": "L", "La": "L",
    "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "RGBa": "RGB", "RGBX": "RGB",
    "YCbCr": "RGB", "HSV": "RGB", "CMYK": "CMYK",
}
_UNNOTICED = 2  # of 255: a profile that changes no colour by more is taken for sRGB
_BROKEN = "broken"


class Conversion(NamedTuple):
    """What becomes of the colour profile of an image.

    Attributes:
        transform: Applied to the image; None if there is nothing to do.
        name: Of the profile that is applied.
        fault: Why the profile is ignored; '' if it is not.
    """

    transform: ImageCms.ImageCmsTransform | None = None
    name: str = ""
    fault: str = ""


NOTHING = Conversion()


def plan_conversion(picture: Image.Image) -> Conversion:
    """Decide what becomes of the profile in `picture.info`."""
    if "icc_profile" not in picture.info or picture.mode not in _PLAIN:
        return NOTHING
    profile = picture.info["icc_profile"]
    if profile == b"":
        return NOTHING
    return _planned(profile, _PLAIN[picture.mode]) if isinstance(profile, bytes) else Conversion(
        fault=_BROKEN)


def convert(picture: Image.Image, conversion: Conversion) -> Image.Image:
    """Apply a conversion: grey stays grey, CMYK becomes RGB, transparency stays as it is."""
    if conversion.transform is None:
        return picture
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert({"La": "LA", "RGBa": "RGBA"}[picture.mode])
    if "transparency" in picture.info or picture.mode == "PA":
        picture = picture.convert("RGBA")
    alpha = picture.getchannel("A") if "A" in picture.getbands() else None
    plain = "L" if picture.mode in ("L", "LA") else str(conversion.transform.input_mode)
    converted = conversion.transform.apply(_flat(picture, plain))
    if conversion.transform.input_mode == "L":
        converted = converted.convert("L")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def lab_to_srgb(picture: Image.Image) -> Image.Image:
    """Convert CIELAB pixels to sRGB."""
    return _lab_transform().apply(picture)


def _flat(picture: Image.Image, mode: str) -> Image.Image:
    return picture if picture.mode == mode else picture.convert(mode)


@lru_cache(1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@lru_cache(1)
def _lab_transform() -> ImageCms.ImageCmsTransform:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return _transform(lab, "LAB")


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.ImageCmsTransform(
        profile, _srgb(), mode, "RGB", INTENT, flags=_BLACK_POINT_COMPENSATION)


@lru_cache(32)  # the images of a set share a few profiles
def _planned(data: bytes, mode: str) -> Conversion:
    """Plan for a profile and one of the modes of _SPACES."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = profile.profile.xcolor_space.strip()
        if space != _SPACES[mode]:
            return _unfitting(profile, space, mode)
        transform = _transform(profile, mode)
        if mode != "CMYK" and _is_identity(transform, mode):
            return NOTHING
        return Conversion(transform, _name(profile))
    except ImportError:
        return Conversion(fault="not read, as this Pillow has no LittleCMS")
    except Exception:  # LittleCMS names no kinds of errors
        return Conversion(fault=_BROKEN)


def _unfitting(profile: ImageCms.ImageCmsProfile, space: str, mode: str) -> Conversion:
    """Plan for a profile of other pixels; sRGB in a grey image says what is true without it."""
    if (space, mode) == ("RGB", "L") and _is_identity(_transform(profile, "RGB"), "RGB"):
        return NOTHING
    return Conversion(fault=f"made for {space}, not for {_SPACES[mode]} pixels")


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether colours from all over the cube, or all greys, stay as they are."""
    if mode == "L":
        before = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
        after = np.asarray(transform.apply(Image.fromarray(before[:, :, 0])))
    else:
        axis = np.arange(0, 256, 15, dtype=np.uint8)
        before = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(1, -1, 3)
        after = np.asarray(transform.apply(Image.fromarray(before)))
    return int(np.abs(after.astype(int) - before).max()) <= _UNNOTICED


def _name(profile: ImageCms.ImageCmsProfile) -> str:
    try:
        text = ImageCms.getProfileDescription(profile)
    except ImageCms.PyCMSError:
        text = ""
    return " ".join("".join(filter(str.isprintable, text)).split())[:60] or "without a name"
