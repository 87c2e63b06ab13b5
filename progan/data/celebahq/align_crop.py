"""From five landmarks to a rectangle, to whole pixels, and to the face that is cut out.

Everything here is numbers: the picture itself is touched in `cutting`. With the eyes e0, e1 and
the corners of the mouth m0, m1, appendix C of the paper chooses a square, turned with the face:

    x' = e1 - e0                                from eye to eye
    y' = (e0 + e1)/2 - (m0 + m1)/2              from mouth to eyes
    c  = (e0 + e1)/2 - 0.1 y'                   its centre
    s  = max(4.0 |x'|, 3.6 |y'|)                its side
    x  = normalize(x' - rotate90(y'))           its axes; rotate90(a, b) = (-b, a) in an image,
    y  = rotate90(x)                            whose y points down

(The paper's y' points up, as in a drawing; below it points down, as the official code has it.)
How the pixels get there is not in the paper but in the official code; see `CropPlan`.
"""

from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

Points = npt.NDArray[np.float32]  # [n,2] or [2]: x, y in px
Box = tuple[int, int, int, int]  # left, top, right, bottom

_PIXEL_CENTRE = np.float32(0.5)  # CelebA numbers pixels: a landmark (3, 5) is at (3.5, 5.5)
_SAMPLING_OFFSET = np.float32(0.5)  # the official code's, of the transformed picture
_BORDER = 0.1  # of the side: kept around the rectangle
_LEAST_BORDER = 3  # px
_PADDING = 0.3  # of the side: least width of a margin, where there is any
_BLUR = 0.02  # of the side: standard deviation in the margins
_LEAST_SIDE = 2.0  # px of the rectangle: less is no face but a mistake in the landmarks
_LANCZOS = Image.Resampling.LANCZOS
_SUPERSAMPLING = 4  # 4096 px for a result of 1024


@dataclass(frozen=True, slots=True)
class CropPlan:
    """How a square of `side` px is cut out of a picture, step by step.

    Attributes:
        side: Of the result, px.
        original: Width and height of the picture, px.
        shrunk: Size that the picture is resized to first, or None: rectangles of more than four
            times the side are brought down by a whole factor.
        crop: What is kept then: the rectangle and a tenth of the side around it.
        enlargement: Whole factor, a power of two, that the crop is enlarged by then.
        padding: Widths of the margins that are added on each side then, or None.
        blur: Standard deviation of the Gaussian in the padding, px.
        quad: Corners of the rectangle in what is there then, float32 [4,2]: upper left, lower
            left, lower right, upper right of the face.
    """

    side: int
    original: tuple[int, int]
    shrunk: tuple[int, int] | None
    crop: Box
    enlargement: int
    padding: Box | None
    blur: float
    quad: Points

    def map_points(self, points: npt.NDArray[np.floating]) -> Points:
        """Where points of the original picture are in the result, px of both.

        Both count from the upper left corner of the picture: the first pixel's centre is at
        (0.5, 0.5).
        """
        size = self.shrunk or self.original
        moved = points.astype(np.float64) * size / self.original - self.crop[:2]
        moved = moved * self.enlargement + (self.padding or (0, 0))[:2]
        upper_left, lower_left, _, upper_right = self.quad.astype(np.float64) + _SAMPLING_OFFSET
        axes = np.stack([upper_right - upper_left, lower_left - upper_left])  # orthogonal
        along = (moved - upper_left) @ axes.T / (axes**2).sum(axis=1)
        return np.asarray(self.side * along, dtype=np.float32)


def pixels_to_points(landmarks: npt.NDArray[np.floating]) -> Points:
    """Numbers of pixels, as CelebA has them -> points of the plane."""
    return np.asarray(landmarks, dtype=np.float32) + _PIXEL_CENTRE


def face_rectangle(landmarks: Points) -> Points:
    """The oriented square around a face (see above) -> its corners, float32 [4,2].

    Args:
        landmarks: Eyes, nose, corners of the mouth, float32 [5,2]: points of the plane.

    Raises:
        ValueError: They have no extent.
    """
    # float32 for vectors and float64 for lengths, as the official code in NumPy of its day.
    eyes = (landmarks[0] + landmarks[1]) * 0.5
    mouth = (landmarks[3] + landmarks[4]) * 0.5
    eye_to_eye, eye_to_mouth = landmarks[1] - landmarks[0], mouth - eyes
    x = eye_to_eye - rotate90(eye_to_mouth)
    half = max(length(eye_to_eye) * 2.0, length(eye_to_mouth) * 1.8)
    # Eyes that are turned against the mouth by 180 degrees leave no direction.
    if 2 * half < _LEAST_SIDE or not length(x) > 1e-3 * half:
        raise ValueError("the landmarks of eyes and mouth describe no face")
    x = x / np.float32(length(x)) * np.float32(half)
    y = rotate90(x)
    centre = eyes + eye_to_mouth * np.float32(0.1)
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def rotate90(vector: Points) -> Points:
    """Turn a vector clockwise, as seen in an image: (a, b) -> (-b, a)."""
    return np.stack([-vector[1], vector[0]])


def _vector(x: int, y: int) -> Points:
    return np.array([x, y], dtype=np.float32)


def length(vector: Points) -> float:
    return float(np.hypot(vector[0], vector[1]))


def plan_crop(landmarks: Points, size: tuple[int, int], side: int) -> CropPlan:
    """How to cut a face out of a picture of `size` (width, height) px.

    Args:
        landmarks: Points of the plane, float32 [5,2].
        side: Of the result; every length of the official code, which makes 1024 px, is taken in
            proportion.

    Raises:
        ValueError: The landmarks have no extent, or the face lies outside of the picture.
    """
    quad = face_rectangle(landmarks)
    zoom = side / (2 * length((quad[3] - quad[0]) / np.float32(2)))  # px of result per px
    original, shrunk = size, None
    shrink = floor(0.5 / zoom)
    if shrink > 1:
        size = shrunk = (max(round(size[0] / shrink), 1), max(round(size[1] / shrink), 1))
        quad, zoom = quad / np.float32(shrink), zoom * shrink
    border = max(round(side * _BORDER / zoom), _LEAST_BORDER)
    crop = _crop_box(_bounds(quad), size, border)
    size, quad = (crop[2] - crop[0], crop[3] - crop[1]), quad - _vector(*crop[:2])
    enlargement = max(2 ** ceil(log2(zoom)), 1) if zoom > 1 else 1
    size, zoom = (size[0] * enlargement, size[1] * enlargement), zoom / enlargement
    quad = quad * np.float32(enlargement)
    padding = _padding_widths(_bounds(quad), size, border, round(side * _PADDING / zoom))
    if padding:
        quad = quad + _vector(*padding[:2])
    return CropPlan(side, original, shrunk, crop, enlargement, padding, side * _BLUR / zoom, quad)


def _bounds(quad: Points) -> Box:
    """The smallest box of whole pixels around a quadrilateral."""
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    return floor(left), floor(top), ceil(right), ceil(bottom)


def _crop_box(bounds: Box, size: tuple[int, int], border: int) -> Box:
    left, top, right, bottom = bounds
    crop = (
        max(left - border, 0),
        max(top - border, 0),
        min(right + border, size[0]),
        min(bottom + border, size[1]),
    )
    if crop[0] >= crop[2] or crop[1] >= crop[3]:
        raise ValueError("the landmarks lie outside of the picture")
    return crop


def _padding_widths(bounds: Box, size: tuple[int, int], border: int, least: int) -> Box | None:
    """How much has to be added on each side; None if the picture reaches far enough.

    `border` is compared in pixels of the enlarged picture, though it was measured before: so the
    official code has it.
    """
    left, top, right, bottom = bounds
    lacking = (
        max(border - left, 0),
        max(border - top, 0),
        max(right - size[0] + border, 0),
        max(bottom - size[1] + border, 0),
    )
    if max(lacking) <= border - 4:
        return None
    return (
        max(lacking[0], least),
        max(lacking[1], least),
        max(lacking[2], least),
        max(lacking[3], least),
    )


def add_blurred_padding(
    image: npt.NDArray[np.uint8], padding: Box, blur: float
) -> npt.NDArray[np.uint8]:
    """Add mirrored padding, which becomes blurred and then the median colour outwards.

    With u, 0 at the inner edge of a margin, 1 at the outer one and negative further inside, the
    colour is mixed with its Gaussian by clip(3u + 1, 0, 1) and then with the median by
    clip(u, 0, 1): a depth of field that begins a third of a margin inside of the picture.

    Args:
        image: uint8 [H,W,3].
        padding: Widths of the left, top, right and bottom margin, px, at least 1.
        blur: Standard deviation of the Gaussian, px.

    Returns:
        uint8 [top+H+bottom, left+W+right, 3].
    """
    left, top, right, bottom = padding
    mirrored = np.pad(image.astype(np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = mirrored.shape
    outwards = (
        np.float32(1)
        - np.minimum(_ramp(height, top, bottom)[:, None], _ramp(width, left, right))[..., None]
    )
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


def crop_face(picture: Image.Image, plan: CropPlan) -> npt.NDArray[np.uint8]:
    """Follow the plan: RGB picture -> uint8 [side,side,3].

    The rectangle is sampled bilinearly at four times the side and brought down with a Lanczos
    filter. The paper speaks of a box filter there; the official code, whose results the deltas
    belong to, uses Lanczos, and so does golden data made with it.
    """
    if plan.shrunk:
        picture = picture.resize(plan.shrunk, _LANCZOS)
    picture = picture.crop(plan.crop)
    if plan.enlargement > 1:
        width, height = picture.size
        picture = picture.resize((width * plan.enlargement, height * plan.enlargement), _LANCZOS)
    if plan.padding:
        picture = Image.fromarray(add_blurred_padding(np.asarray(picture), plan.padding, plan.blur))
    large = (_SUPERSAMPLING * plan.side, _SUPERSAMPLING * plan.side)
    # As float32: Pillow takes their differences in Python, and so they are rounded as they were.
    corners = list((plan.quad + np.float32(0.5)).flatten())
    picture = picture.transform(large, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return np.asarray(picture.resize((plan.side, plan.side), _LANCZOS))
