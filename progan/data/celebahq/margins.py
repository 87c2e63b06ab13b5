"""Margins for faces that reach out of their picture: mirrored, blurred, faded to one colour."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from progan.data.celebahq.geometry import Box


def with_margins(
    image: npt.NDArray[np.uint8], margins: Box, blur: float
) -> npt.NDArray[np.uint8]:
    """Add mirrored margins, which become blurred and then the median colour outwards.

    With u, 0 at the inner edge of a margin, 1 at the outer one and negative further inside, the
    colour is mixed with its Gaussian by clip(3u + 1, 0, 1) and then with the median by
    clip(u, 0, 1): a depth of field that begins a third of a margin inside of the picture.

    Args:
        image: uint8 [H,W,3].
        margins: Widths of the left, top, right and bottom margin, px, at least 1.
        blur: Standard deviation of the Gaussian, px.

    Returns:
        uint8 [top+H+bottom, left+W+right, 3].
    """
    left, top, right, bottom = margins
    mirrored = np.pad(image.astype(np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = mirrored.shape
    outwards = np.float32(1) - np.minimum(_ramp(height, top, bottom)[:, None],
                                          _ramp(width, left, right))[..., None]
    blurred = gaussian_filter(mirrored, [blur, blur, 0])
    mirrored += (blurred - mirrored) * np.clip(outwards * np.float32(3) + np.float32(1), 0, 1)
    mirrored += (np.median(mirrored, axis=(0, 1)) - mirrored) * np.clip(outwards, 0, 1)
    return np.clip(np.round(mirrored), 0, 255).astype(np.uint8)


def _ramp(size: int, before: int, after: int) -> npt.NDArray[np.float32]:
    """Distance to the nearer end in units of its margin: 0 at the ends, 1 where margins begin."""
    position = np.arange(size, dtype=np.float32)
    to_start, to_end = position / np.float32(before), position[::-1] / np.float32(after)
    nearer: npt.NDArray[np.float32] = np.minimum(to_start, to_end)
    return nearer
