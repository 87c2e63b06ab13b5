"""Align and crop a face by its five landmarks, as appendix C of the paper and the official code.

With the eyes e0, e1 and the corners of the mouth m0, m1, the paper chooses a rotated square:

    x' = e1 - e0                                from eye to eye
    y' = (e0 + e1)/2 - (m0 + m1)/2              from mouth to eyes
    c  = (e0 + e1)/2 - 0.1 y'                   its centre
    s  = max(4.0 |x'|, 3.6 |y'|)                its side
    x  = normalize(x' - rotate90(y'))           its axes; rotate90(a, b) = (-b, a) in an image,
    y  = rotate90(x)                            whose y points down

(The paper's y' points up, as in a drawing; below it points down, as the official code has it.)
The resampling is not in the paper but in the official code; see `CropPlan`.
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
_SAMPLING_OFFSET = np.float32(0.5)  # offset of the official code in the transformed image
# Fractions of the side:
_BORDER = 0.1  # kept around the rectangle
_PADDING = 0.3  # least width of the padding, where there is any
_BLUR = 0.02  # standard deviation of the Gaussian in the padding
_LEAST_BORDER = 3  # px
_LEAST_SIDE = 2.0  # px of the rectangle: less is not a face but a mistake in the landmarks
_LANCZOS = Image.Resampling.LANCZOS
_SUPERSAMPLING = 4  # 4096 px for a result of 1024


@dataclass(frozen=True, slots=True)
class CropPlan:
    """Steps that cut a square of `side` px out of an image, in their order."""

    side: int  # side of the result, px
    original: tuple[int, int]  # width and height of the image, px
    shrunk: tuple[int, int] | None  # 1. resize by a whole factor; if the rectangle is 4x too large
    crop: Box  # 2. crop to the rectangle and a border around it
    enlargement: int  # 3. enlarge by a power of two
    padding: Box | None  # 4. add padding, if the rectangle reaches outside
    blur: float  # standard deviation of the Gaussian in the padding, px
    quad: Points  # 5. sample the rectangle between these corners of the face, float32 [4,2]: upper
    # left, lower left, lower right, upper right

    def map_points(self, points: npt.NDArray[np.floating]) -> Points:
        """Map points from px of the original image to px of the result.

        Both count from the upper left corner: the first pixel's centre is at (0.5, 0.5).
        """
        size = self.shrunk or self.original
        moved = points.astype(np.float64) * size / self.original - self.crop[:2]
        moved = moved * self.enlargement + (self.padding or (0, 0))[:2]
        upper_left, lower_left, _, upper_right = self.quad.astype(np.float64) + _SAMPLING_OFFSET
        axes = np.stack([upper_right - upper_left, lower_left - upper_left])  # orthogonal
        along = (moved - upper_left) @ axes.T / (axes**2).sum(axis=1)
        return np.asarray(self.side * along, dtype=np.float32)


def pixels_to_points(landmarks: npt.NDArray[np.floating]) -> Points:
    """Convert pixel indices, as CelebA has them, to points of the plane."""
    return np.asarray(landmarks, dtype=np.float32) + _PIXEL_CENTRE


def compute_face_square(landmarks: Points) -> Points:
    """Compute the corners of the rotated square around a face (see above), float32 [4,2].

    Args:
        landmarks: Eyes, nose, corners of the mouth, float32 [5,2]: points of the plane.

    Raises:
        ValueError: They have no extent.
    """
    # float32 for vectors and float64 for lengths, as the official code in NumPy of its day.
    eyes = (landmarks[0] + landmarks[1]) * 0.5
    mouth = (landmarks[3] + landmarks[4]) * 0.5
    eye_to_eye, eye_to_mouth = landmarks[1] - landmarks[0], mouth - eyes
    x = eye_to_eye - rotate90_clockwise(eye_to_mouth)
    half = max(compute_length(eye_to_eye) * 2.0, compute_length(eye_to_mouth) * 1.8)
    # Eyes that are turned against the mouth by 180 degrees leave no direction.
    if 2 * half < _LEAST_SIDE or not compute_length(x) > 1e-3 * half:
        raise ValueError("the landmarks of eyes and mouth describe no face")
    x = x / np.float32(compute_length(x)) * np.float32(half)
    y = rotate90_clockwise(x)
    centre = eyes + eye_to_mouth * np.float32(0.1)
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def rotate90_clockwise(vector: Points) -> Points:
    """Turn a vector clockwise, as seen in an image: (a, b) -> (-b, a)."""
    return np.stack([-vector[1], vector[0]])


def _make_vector(x: int, y: int) -> Points:
    """Return float32 [x, y]."""
    return np.array([x, y], dtype=np.float32)


def compute_length(vector: Points) -> float:
    """Return the Euclidean length of a vector [2]."""
    return float(np.hypot(vector[0], vector[1]))


def plan_crop(landmarks: Points, size: tuple[int, int], side: int) -> CropPlan:
    """Plan the crop of a face from an image of `size` (width, height) px.

    Args:
        landmarks: Points of the plane, float32 [5,2].
        side: Side of the result; every length of the official code, which makes 1024 px, is
            scaled.

    Raises:
        ValueError: The landmarks have no extent, or the face lies outside of the image.
    """
    quad = compute_face_square(landmarks)
    zoom = side / (2 * compute_length((quad[3] - quad[0]) / np.float32(2)))  # px of result per px
    original, shrunk = size, None
    shrink = floor(0.5 / zoom)
    if shrink > 1:
        size = shrunk = (max(round(size[0] / shrink), 1), max(round(size[1] / shrink), 1))
        quad, zoom = quad / np.float32(shrink), zoom * shrink
    border = max(round(side * _BORDER / zoom), _LEAST_BORDER)
    crop = _compute_crop_box(_compute_bounding_box(quad), size, border)
    size, quad = (crop[2] - crop[0], crop[3] - crop[1]), quad - _make_vector(*crop[:2])
    enlargement = max(2 ** ceil(log2(zoom)), 1) if zoom > 1 else 1
    size, zoom = (size[0] * enlargement, size[1] * enlargement), zoom / enlargement
    quad = quad * np.float32(enlargement)
    padding = _compute_padding_widths(
        _compute_bounding_box(quad), size, border, round(side * _PADDING / zoom)
    )
    if padding:
        quad = quad + _make_vector(*padding[:2])
    return CropPlan(side, original, shrunk, crop, enlargement, padding, side * _BLUR / zoom, quad)


def _compute_bounding_box(quad: Points) -> Box:
    """Compute the smallest box of whole pixels around a quadrilateral."""
    (left, top), (right, bottom) = quad.min(axis=0), quad.max(axis=0)
    return floor(left), floor(top), ceil(right), ceil(bottom)


def _compute_crop_box(bounds: Box, size: tuple[int, int], border: int) -> Box:
    """Return the box with its border, within the image; ValueError if nothing is left."""
    left, top, right, bottom = bounds
    crop = (
        max(left - border, 0),
        max(top - border, 0),
        min(right + border, size[0]),
        min(bottom + border, size[1]),
    )
    if crop[0] >= crop[2] or crop[1] >= crop[3]:
        raise ValueError("the landmarks lie outside of the image")
    return crop


def _compute_padding_widths(
    bounds: Box, size: tuple[int, int], border: int, least: int
) -> Box | None:
    """Compute the padding to add on each side; None if the image reaches far enough.

    `border` is compared in pixels of the enlarged image, though it was measured before, as in the
    official code.
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
    before_x, before_y, after_x, after_y = (max(width, least) for width in lacking)
    return before_x, before_y, after_x, after_y


def add_blurred_padding(
    image: npt.NDArray[np.uint8], padding: Box, blur: float
) -> npt.NDArray[np.uint8]:
    """Add mirrored padding, which becomes blurred and then the median colour outwards.

    With u, 0 at the inner edge of the padding, 1 at the outer one and negative further inside, the
    colour is mixed with its Gaussian by clip(3u + 1, 0, 1) and then with the median by
    clip(u, 0, 1): a depth of field that begins a third of the padding inside of the image.

    Args:
        image: uint8 [H,W,3].
        padding: Width on the left, top, right and bottom, px, at least 1.
        blur: Standard deviation of the Gaussian, px.

    Returns:
        uint8 [top+H+bottom, left+W+right, 3].
    """
    left, top, right, bottom = padding
    mirrored = np.pad(image.astype(np.float32), ((top, bottom), (left, right), (0, 0)), "reflect")
    height, width, _ = mirrored.shape
    outwards = (
        np.float32(1)
        - np.minimum(
            _make_padding_ramp(height, top, bottom)[:, None], _make_padding_ramp(width, left, right)
        )[..., None]
    )
    blurred = gaussian_filter(mirrored, [blur, blur, 0])
    mirrored += (blurred - mirrored) * np.clip(outwards * np.float32(3) + np.float32(1), 0, 1)
    mirrored += (np.median(mirrored, axis=(0, 1)) - mirrored) * np.clip(outwards, 0, 1)
    return np.clip(np.round(mirrored), 0, 255).astype(np.uint8)


def _make_padding_ramp(size: int, before: int, after: int) -> npt.NDArray[np.float32]:
    """Return float32 [size]: 0 at the ends, 1 at the inner edges of the padding, more inside."""
    position = np.arange(size, dtype=np.float32)
    to_start, to_end = position / np.float32(before), position[::-1] / np.float32(after)
    nearer: npt.NDArray[np.float32] = np.minimum(to_start, to_end)
    return nearer


def crop_face(image: Image.Image, plan: CropPlan) -> npt.NDArray[np.uint8]:
    """Apply a plan: RGB image -> uint8 [side,side,3].

    The rectangle is sampled bilinearly at four times the side and downsampled with a Lanczos
    filter. The paper names a box filter there; the official code, whose results the deltas
    belong to, uses Lanczos, and so does golden data made with it.
    """
    if plan.shrunk:
        image = image.resize(plan.shrunk, _LANCZOS)
    image = image.crop(plan.crop)
    if plan.enlargement > 1:
        width, height = image.size
        image = image.resize((width * plan.enlargement, height * plan.enlargement), _LANCZOS)
    if plan.padding:
        image = Image.fromarray(add_blurred_padding(np.asarray(image), plan.padding, plan.blur))
    large = (_SUPERSAMPLING * plan.side, _SUPERSAMPLING * plan.side)
    # As float32: Pillow takes their differences in Python, and so they are rounded as they were.
    corners = list((plan.quad + np.float32(0.5)).flatten())
    image = image.transform(large, Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    return np.asarray(image.resize((plan.side, plan.side), _LANCZOS))
