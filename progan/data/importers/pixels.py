"""Decode one image file, convert it, crop and resize it -> uint8 pixels."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageColor, UnidentifiedImageError

from progan.data.image_source import UnreadableImage
from progan.data.importers.color import (
    WHITE_16_BIT,
    apply_profile,
    describe_white_level_fault,
    lab_to_srgb,
    plan_profile_conversion,
    scale_to_8_bits,
)
from progan.data.importers.metadata import (
    TRANSPOSE_METHODS,
    read_orientation,
    strip_metadata_stepwise,
)
from progan.errors import UserError
from progan.sizes import Size

Crop = Literal["center", "pad", "stretch", "wide", "random"]
WIDE = 16, 9  # the band of the crop of that name
Filter = Literal["lanczos", "box"]
FILTERS = {"lanczos": Image.Resampling.LANCZOS, "box": Image.Resampling.BOX}
WHITE = "white"
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Pillow's modes -> channels by default; P depends on its transparency.
NATIVE_CHANNELS = {
    **dict.fromkeys(("1", "L", "I;16", "I;16B", "I;16L", "I;16N", "I", "F"), 1),
    **dict.fromkeys(("P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"), 3),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), 4),
}
# Pillow lists these names but decodes them only with other programs' help, or not at all.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
REMOVED_METADATA = "progan: lacking"  # key in `Image.info`: what had to be removed

# Pillow warns of damaged metadata and of huge images; here both are reported, or refused.
warnings.filterwarnings("ignore", module=r"PIL\.")


def list_image_extensions() -> set[str]:
    """Lower-case extensions, with their dot, of the formats that Pillow decodes."""
    Image.preinit()  # the usual formats first: Image.open() tries them in this order
    return {
        extension
        for extension, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in _NOT_DECODED
    }


@contextmanager
def open_image(data: bytes, path: str, *, load: bool = False) -> Iterator[Image.Image]:
    """Yield the image with its header read; any error inside becomes UnreadableImage.

    Where metadata are damaged, it is opened without: `info[REMOVED_METADATA]` names them then.

    Args:
        load: Decode it, too.
    """
    try:
        with _open_despite_metadata(data, load) as image:
            yield image
    except (UnreadableImage, MemoryError):
        raise
    except UnidentifiedImageError as error:
        what = "an empty file" if not data else "not an image, or damaged at its beginning"
        raise UnreadableImage(path, what) from error
    except Exception as error:  # broken data makes Pillow's decoders raise nearly anything
        raise UnreadableImage(path, str(error) or type(error).__name__) from error


def _open_despite_metadata(data: bytes, load: bool) -> Image.Image:
    """Open an image; after an error, try again with less and less metadata."""
    try:
        return _open_as_stored(data, load)
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception:
        for copy, lacks in strip_metadata_stepwise(data):
            try:
                image = _open_as_stored(copy, load)
            except Exception:
                continue
            image.info[REMOVED_METADATA] = lacks
            return image
        raise


def _open_as_stored(data: bytes, load: bool) -> Image.Image:
    """Open an image, decoded if `load`; a colour profile behind PNG pixels is dropped."""
    image = Image.open(io.BytesIO(data))
    if load:
        before = image.info.get("icc_profile")
        image.load()
        if before is None:  # behind the pixels of a PNG file, where none belongs
            image.info.pop("icc_profile", None)
    return image


def count_native_channels(image: Image.Image, path: str) -> int:
    """Return the channels of an image as stored: 1 grey, 3 RGB, 4 with transparency."""
    if image.mode not in NATIVE_CHANNELS:
        raise UnreadableImage(
            path, f"pixels of the kind {image.mode!r} are not supported: convert it to a PNG file"
        )
    deep = image.mode.startswith("I")  # Pillow converts no colour key of 16-bit grey
    return 4 if "transparency" in image.info and not deep else NATIVE_CHANNELS[image.mode]


def decode_image(data: bytes, path: str) -> Image.Image:
    """Decode an image and turn it upright as its EXIF says; raises UnreadableImage.

    Its colours stay as they are stored: sources whose pixels are to equal those of an official
    tool are read so.
    """
    return _load_with_white(data, path, None)


def decode_srgb(data: bytes, path: str, white_level: float | None = None) -> Image.Image:
    """Decode an image, turn it upright, and convert its colours to sRGB by its colour profile.

    Args:
        white_level: Grey value that becomes white in images of more than 8 bits, 65535 if None.

    Raises:
        UnreadableImage: It cannot be decoded, or no grey value is known as white.
    """
    image = _load_with_white(data, path, white_level)
    conversion = plan_profile_conversion(image)
    return apply_profile(reduce_to_8_bits(image, white_level), conversion)


def reduce_to_8_bits(image: Image.Image, white_level: float | None = None) -> Image.Image:
    """Scale a grey image of more than 8 bits, so that `white_level` (None: 65535) is white."""
    if image.mode == "F" or image.mode.startswith("I"):
        return scale_to_8_bits(image, WHITE_16_BIT if white_level is None else white_level)
    return image


def load_upright(data: bytes, path: str) -> Image.Image:
    """Decode an image of any kind and turn it upright as its EXIF says; raises UnreadableImage."""
    with open_image(data, path, load=True) as image:
        if image.format == "TIFF":  # which Pillow has turned itself, by its tag or else by XMP
            return image
        method = TRANSPOSE_METHODS.get(read_orientation(image.info).value)
        return image if method is None else image.transpose(method)


def _load_with_white(data: bytes, path: str, white: float | None) -> Image.Image:
    """Load an image upright; UnreadableImage if it is deep grey without a white level."""
    image = load_upright(data, path)
    if fault := describe_white_level_fault(image, white):
        raise UnreadableImage(path, fault)
    return image


def convert_and_resize(
    image: Image.Image,
    *,
    channels: int,
    size: Size,
    crop: Crop,
    resize_filter: Filter,
    position: float | None = None,
    background: str = WHITE,
) -> npt.NDArray[np.uint8]:
    """Convert, cut and resize an image: -> uint8 [H, W, channels] of `size`.

    Args:
        background: Colour that transparency is laid on where it has to go.
        position: Position of the crop, from 0 at the left or top up to 1; None: the middle.
    """
    shaped = fit_to_size(
        convert_mode(image, channels, background), size, crop, resize_filter, position
    )
    return np.asarray(shaped, dtype=np.uint8).reshape(*size, channels)


def convert_mode(image: Image.Image, channels: int, background: str = WHITE) -> Image.Image:
    """Convert to 8-bit grey, RGB or RGBA; transparency that has to go goes onto `background`."""
    if image.mode.startswith("I"):
        image = scale_to_8_bits(image)
    if image.mode == "LAB":
        image = lab_to_srgb(image)
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if "transparency" in image.info or image.mode in ("RGBa", "LA", "PA"):
        image = image.convert("RGBA")
    if channels < 4 and image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, background)
        image = Image.alpha_composite(ground, image).convert("RGB")
    return image if image.mode == MODES[channels] else image.convert(MODES[channels])


def require_opaque_color(name: str, what: str) -> None:
    """Raise UserError unless `name` is a colour for `background`; `what` says whose value it is."""
    try:
        opaque = len(ImageColor.getrgb(name)) == len("RGB")
    except ValueError:
        opaque = False
    if not opaque:
        raise UserError(
            f"{what} {name!r} is not a colour. Take a name such as black, or "
            "#rrggbb in hexadecimal."
        )


def fit_to_size(
    image: Image.Image, size: Size, crop: Crop, resize_filter: Filter, position: float | None = None
) -> Image.Image:
    """Crop, pad or stretch an image to `size`, a square if `crop` is 'wide'."""
    sides, resample = (size.width, size.height), FILTERS[resize_filter]
    if image.size == sides and crop != "wide":
        return image
    if crop == "pad":
        return _pad_to_size(image, size, resample)
    if crop == "stretch":
        return image.resize(sides, resample)
    if crop == "wide":
        return _letterbox_wide(image, size.width, resample)
    box = _compute_crop_box(image, *_compute_largest_crop_size(image, size), position)
    return image.resize(sides, resample, box=box)


def _compute_largest_crop_size(image: Image.Image, size: Size) -> tuple[int, int]:
    """Return width and height of the largest part with the aspect ratio of `size`."""
    return (
        max(1, min(image.width, image.height * size.width // size.height)),
        max(1, min(image.height, image.width * size.height // size.width)),
    )


def _pad_to_size(image: Image.Image, size: Size, resample: Image.Resampling) -> Image.Image:
    """Resize all of the image to the largest that fits, centred on black.

    As ImageOps.pad, but for narrow images, whose width Pillow rounds to 0.
    """
    width = min(size.width, max(1, round(image.width / image.height * size.height)))
    height = min(size.height, max(1, round(image.height / image.width * size.width)))
    canvas = Image.new(image.mode, (size.width, size.height))
    canvas.paste(
        image.resize((width, height), resample),
        (round((size.width - width) / 2), round((size.height - height) / 2)),
    )
    return canvas


def _letterbox_wide(image: Image.Image, resolution: int, resample: Image.Resampling) -> Image.Image:
    """Resize the middle of the image to a band of 16:9 in a square, black or transparent around."""
    width, height = resolution, compute_band_height(resolution)
    across = compute_band_width(image.width, image.height, resolution)
    box = _compute_crop_box(image, across, max(1, across * height // width), None)
    canvas = Image.new(image.mode, (width, width))
    canvas.paste(image.resize((width, height), resample, box=box), (0, (width - height) // 2))
    return canvas


def compute_band_height(resolution: int) -> int:
    """Return the height in px of the wide crop, 9/16 of its width to the nearest even number."""
    return 2 * round(resolution * WIDE[1] / WIDE[0] / 2)


def compute_band_width(width: int, height: int, resolution: int) -> int:
    """Return the width in px of the part of an image that the wide crop takes."""
    return max(1, min(width, height * resolution // compute_band_height(resolution)))


def _compute_crop_box(
    image: Image.Image, width: int, height: int, position: float | None
) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a crop: in the middle, or at a position in [0, 1)."""

    def offset(free: int) -> int:
        return free // 2 if position is None else int((free + 1) * position)

    left, top = offset(image.width - width), offset(image.height - height)
    return left, top, left + width, top + height
