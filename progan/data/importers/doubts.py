"""What is doubtful about an image that can be read: too many pixels, one colour, or a copy."""

from collections.abc import Iterable

from PIL import Image

CONSTANT = "all pixels are the same"


def oversize(width: int, height: int) -> str:
    """Say so if a picture of `width` x `height` px is larger than Pillow trusts; '' if not."""
    most = Image.MAX_IMAGE_PIXELS
    return f"{width}x{height} pixels, which may be a decompression bomb" if (
        most and width * height > most) else ""


def is_constant(picture: Image.Image) -> bool:
    """Whether all pixels are the same."""
    right, bottom = picture.width - 1, picture.height - 1
    places = ((right, bottom), (right, 0), (0, bottom), (right // 2, bottom // 2))
    first = picture.getpixel((0, 0))
    if any(picture.getpixel(place) != first for place in places):
        return False  # as of nearly all pictures, without a look at every pixel
    ranges = picture.getextrema()
    pairs = ranges if isinstance(ranges[0], tuple) else (ranges,)
    return all(low == high for low, high in pairs)


def copies(digests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """(path, hash of the content) of files -> what to say of each that an earlier one equals."""
    first: dict[str, str] = {}
    return {path: f"has the content of {first[digest]}" for path, digest in digests
            if first.setdefault(digest, path) != path}
