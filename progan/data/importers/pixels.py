"""One encoded image -> uint8 pixels of the wanted kind, cut and size."""

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
# What each of Pillow's modes becomes without being told; P depends on its transparency.
NATIVE_CHANNELS = {
    "1": 1,
    "L": 1,
    "I;16": 1,
    "I;16B": 1,
    "I;16L": 1,
    "I;16N": 1,
    "I": 1,
    "F": 1,
    "P": 3,
    "RGB": 3,
    "RGBX": 3,
    "CMYK": 3,
    "YCbCr": 3,
    "HSV": 3,
    "LAB": 3,
    "LA": 4,
    "La": 4,
    "PA": 4,
    "RGBA": 4,
    "RGBa": 4,
}
# Pillow knows these names but decodes them only with other programs' help, or not at all.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
REMOVED_METADATA = "progan: lacking"  # key of what had to be removed, in the `info` of an image

# Pillow warns of damaged metadata and of huge images; here both are counted, or refused, in words.
warnings.filterwarnings("ignore", module=r"PIL\.")


def image_extensions() -> set[str]:
    """Lower-case extensions, with their dot, of the formats that Pillow decodes."""
    Image.preinit()  # the usual formats first: Image.open() tries them in this order
    return {
        extension
        for extension, name in Image.registered_extensions().items()
        if name in Image.OPEN and name not in _NOT_DECODED
    }


@contextmanager
def open_image(data: bytes, path: str, *, load: bool = False) -> Iterator[Image.Image]:
    """Yield the image with its header read; whatever goes wrong inside is UnreadableImage.

    Where metadata are damaged, it is opened without them: `info[LACKING]` names them then.

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
    try:
        return _open_once(data, load)
    except (Image.DecompressionBombError, MemoryError):
        raise
    except Exception:
        for copy, lacks in strip_metadata_stepwise(data):
            try:
                image = _open_once(copy, load)
            except Exception:
                continue
            image.info[REMOVED_METADATA] = lacks
            return image
        raise


def _open_once(data: bytes, load: bool) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    if load:
        before = image.info.get("icc_profile")
        image.load()
        if before is None:  # behind the pixels of a PNG file, where none belongs
            image.info.pop("icc_profile", None)
    return image


def count_native_channels(image: Image.Image, path: str) -> int:
    """Channels that the image has by nature: 1 grey, 3 RGB, 4 with transparency."""
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
    image = load_upright(data, path)
    _require_white(image, path, None)
    return image


def decode_srgb(data: bytes, path: str, white_level: float | None = None) -> Image.Image:
    """Decode an image, turn it upright, and convert its colours to sRGB by its colour profile.

    Args:
        white_level: Grey value that becomes white in images of more than 8 bits, 65535 if None.

    Raises:
        UnreadableImage: It cannot be decoded, or no grey value is known as white.
    """
    image = load_upright(data, path)
    _require_white(image, path, white_level)
    conversion = plan_profile_conversion(image)
    if image.mode == "F" or image.mode.startswith("I"):
        image = scale_to_8_bits(image, WHITE_16_BIT if white_level is None else white_level)
    return apply_profile(image, conversion)


def load_upright(data: bytes, path: str) -> Image.Image:
    """Decode an image of any kind and turn it upright as its EXIF says; raises UnreadableImage."""
    with open_image(data, path, load=True) as image:
        method = TRANSPOSE_METHODS.get(read_orientation(image.info).value)
        return image if method is None else image.transpose(method)


def _require_white(image: Image.Image, path: str, white: float | None) -> None:
    """Raise UnreadableImage if no grey value of an image is known as white."""
    if fault := describe_white_level_fault(image, white):
        raise UnreadableImage(path, fault)


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
        background: What transparency is laid on where it has to go.
        position: Where it is cut out, from 0 at the left or top up to 1; in the middle if
            None.
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
    """Make an image of `size`, a square if `crop` is 'wide', by what `crop` says."""
    sides, resample = (size.width, size.height), FILTERS[resize_filter]
    if image.size == sides and crop != "wide":
        return image
    if crop == "pad":
        return _padded(image, size, resample)
    if crop == "stretch":
        return image.resize(sides, resample)
    if crop == "wide":
        return _on_black(_wide_band(image, size.width, resample), size.width)
    box = _cut(image, *_largest(image, size), position)
    return image.resize(sides, resample, box=box)


def _largest(image: Image.Image, size: Size) -> tuple[int, int]:
    """Width and height of the largest part of an image with the aspect ratio of `size`."""
    return (
        max(1, min(image.width, image.height * size.width // size.height)),
        max(1, min(image.height, image.width * size.height // size.width)),
    )


def _padded(image: Image.Image, size: Size, resample: Image.Resampling) -> Image.Image:
    """All of the image in the middle of black, as large as there is room.

    As ImageOps.pad, but for narrow images: Pillow rounds their width to nothing, and then fails,
    or from its version 13 on shows nothing.
    """
    width = min(size.width, max(1, round(image.width / image.height * size.height)))
    height = min(size.height, max(1, round(image.height / image.width * size.width)))
    canvas = Image.new(image.mode, (size.width, size.height))
    canvas.paste(
        image.resize((width, height), resample),
        (round((size.width - width) / 2), round((size.height - height) / 2)),
    )
    return canvas


def _wide_band(image: Image.Image, resolution: int, resample: Image.Resampling) -> Image.Image:
    """The middle of the image, resized to the whole width and 9/16 of the height."""
    width, height = resolution, band_height(resolution)
    across = band_width(image.width, image.height, resolution)
    box = _cut(image, across, max(1, across * height // width), None)
    return image.resize((width, height), resample, box=box)


def band_height(resolution: int) -> int:
    """Height in px of the wide crop, 9/16 of its width to the nearest even number."""
    return 2 * round(resolution * WIDE[1] / WIDE[0] / 2)


def band_width(width: int, height: int, resolution: int) -> int:
    """How much of the width of an image, in px, the wide crop takes."""
    return max(1, min(width, height * resolution // band_height(resolution)))


def _on_black(band: Image.Image, resolution: int) -> Image.Image:
    """The band in the middle of a square; black, or transparent where there is transparency."""
    canvas = Image.new(band.mode, (resolution, resolution))
    canvas.paste(band, (0, (resolution - band.height) // 2))
    return canvas


def _cut(
    image: Image.Image, width: int, height: int, position: float | None
) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a rectangle in the image."""
    left, top = (_placed(room, position) for room in (image.width - width, image.height - height))
    return left, top, left + width, top + height


def _placed(room: int, position: float | None) -> int:
    """One of the `room` + 1 places that a cut can have: the middle, or equally likely ones."""
    return room // 2 if position is None else int((room + 1) * position)
