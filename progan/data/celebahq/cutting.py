"""Cut a planned square out of a picture."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from progan.data.celebahq.geometry import Cut
from progan.data.celebahq.margins import with_margins

_LANCZOS = Image.Resampling.LANCZOS
_SUPERSAMPLING = 4  # 4096 px for a result of 1024


def cut_out(picture: Image.Image, cut: Cut) -> npt.NDArray[np.uint8]:
    """Follow the plan: RGB picture -> uint8 [side,side,3].

    The rectangle is sampled bilinearly at four times the side and brought down with a Lanczos
    filter. The paper speaks of a box filter there; the official code, whose results the deltas
    belong to, uses Lanczos, and so does golden data made with it.
    """
    if cut.shrunk:
        picture = picture.resize(cut.shrunk, _LANCZOS)
    picture = picture.crop(cut.crop)
    if cut.enlargement > 1:
        width, height = picture.size
        picture = picture.resize((width * cut.enlargement, height * cut.enlargement), _LANCZOS)
    if cut.margins:
        picture = Image.fromarray(with_margins(np.asarray(picture), cut.margins, cut.blur))
    large = (_SUPERSAMPLING * cut.side, _SUPERSAMPLING * cut.side)
    # As float32: Pillow takes their differences in Python, and so they are rounded as they were.
    corners = list((cut.quad + np.float32(0.5)).flatten())
    picture = picture.transform(large, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return np.asarray(picture.resize((cut.side, cut.side), _LANCZOS))
