"""One picture -> one file, which says where it comes from where its kind can."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from progan.errors import UserError
from progan.images import Pixels, as_image, save_png
from progan.runtime.files import replaced

SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
LONGEST_SIDES = {"jpeg": 65500, "webp": 16383}  # px; what the formats can hold
# JPEG keeps all of its colours' resolution, and WebP every pixel.
SETTINGS: dict[str, dict[str, Any]] = {"jpeg": {"quality": 95, "subsampling": 0},
                                       "webp": {"lossless": True, "exact": True}}
MOST_EXIF_BYTES = 60_000  # a JPEG has room for 65,533, of which the rest of it needs some


def save(path: Path, kind: str, pixels: Pixels, text: Mapping[str, str]) -> None:
    """Write a picture [H, W, C], C of 1, 3 or 4.

    The text is that of a PNG file, or JSON in the EXIF tag ImageDescription of others.

    Args:
        kind: One of SUFFIXES.
    """
    if kind == "png":
        save_png(path, pixels, text)
        return
    with replaced(path) as temporary:
        as_image(pixels).save(temporary, kind, exif=exif(text), **SETTINGS[kind])


def require_format(kind: str, height: int, width: int, channels: int) -> None:
    """Raise UserError if pictures of this size cannot be kept in files of this kind."""
    if kind == "jpeg" and channels == 4:
        raise UserError("--format jpeg: these pictures have transparency, and JPEG has none. "
                        "Choose png or webp.")
    longest = LONGEST_SIDES.get(kind)
    if longest and max(height, width) > longest:
        raise UserError(f"--format {kind}: a picture of {width}x{height} px is larger than the "
                        f"{longest} px that it can hold. Choose png, or fewer pictures.")


def save_array(path: Path, image: npt.NDArray[np.float32]) -> None:
    """Write an image [H, W, C], or any other array, as NumPy's .npy."""
    content = io.BytesIO()  # of a full disk, NumPy says neither this nor where
    np.save(content, image)
    with replaced(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def exif(text: Mapping[str, str]) -> Image.Exif:
    """JSON is plain ASCII, which is all that EXIF's own text can hold."""
    words = json.dumps(dict(text))
    if len(words) > MOST_EXIF_BYTES:  # the list of latents: the command has it, too
        words = json.dumps({key: value for key, value in text.items() if key != "Latents"})
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = words
    exif[ExifTags.Base.Software] = text.get("Software", "progan")
    return exif
