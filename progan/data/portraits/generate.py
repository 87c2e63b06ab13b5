"""Generate portraits procedurally, layer by layer from the background to the grain."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from progan.data.image_source import ImageSource, Sample
from progan.data.portraits.body import (
    paint_background,
    paint_clothing,
    paint_ears,
    paint_face,
    paint_neck,
)
from progan.data.portraits.canvas import Canvas, Head, Point
from progan.data.portraits.face import paint_brows, paint_eyes, paint_glasses, paint_mouth
from progan.data.portraits.factors import Factors
from progan.data.portraits.hair import build_hair_volume, paint_beard, paint_hair, paint_hair_behind
from progan.data.portraits.numerics import (
    COARSEST_GRAIN,
    Array,
    Lamp,
    clamp,
    make_grain,
    make_noise_lattice,
)
from progan.data.portraits.population import sample_factors
from progan.errors import UserError
from progan.sizes import require_resolution

LOWEST, HIGHEST = 4, 1024  # resolutions
GRAIN = 0.007  # amplitude per level, in 0..1 display
VIGNETTE = 0.42  # loss of light per squared image width from the middle
STRIP_PIXELS = 16384  # one plane of a strip is 64 KiB, so a strip stays in the cache


@dataclass(frozen=True, slots=True)
class Portrait:
    """An image and the positions of its features."""

    image: npt.NDArray[np.uint8]  # [R, R, 3] RGB
    landmarks: npt.NDArray[np.float32]
    """[5, 2] x, y in pixels, pixel centres at integer + 0.5, as seen in the image: left eye,
    right eye, nose, left and right corner of the mouth (the order of CelebA)."""


def generate_portrait(index: int, resolution: int, seed: int = 0) -> Portrait:
    """Generate portrait `index` of the endless series `seed`, the same one at every resolution."""
    return render_portrait(sample_factors(index, seed), resolution)


def render_portrait(factors: Factors, resolution: int) -> Portrait:
    """Render the portrait of these factors; `resolution` is a power of two from 4 to 1024."""
    if not LOWEST <= resolution <= HIGHEST or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 4 to 1024, not {resolution}")
    head = Head.from_factors(factors)
    planes = _add_vignette_and_grain_(
        _render_layers(factors, head, max(resolution, COARSEST_GRAIN)), factors
    )
    while planes.shape[1] > resolution:
        planes = _average_2x2_boxes(planes)
    image = np.ascontiguousarray((clamp(planes) * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
    return Portrait(image, np.array(head.landmarks, dtype=np.float32) * np.float32(resolution))


def _render_layers(factors: Factors, head: Head, resolution: int) -> Array:
    """Render display values [3, R, R] in strips: every pixel depends on its coordinates only."""
    lamp, noise = Lamp.from_light(factors.light), make_noise_lattice(factors.texture)
    rows = min(resolution, max(1, STRIP_PIXELS // resolution))
    planes = np.empty((3, resolution, resolution), dtype=np.float32)
    for top in range(0, resolution, rows):
        canvas = Canvas.blank_strip(head, resolution, range(top, top + rows))
        _paint_strip(canvas, factors, head, lamp, noise)
        planes[:, top : top + rows] = canvas.colour
    return planes


def _paint_strip(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, noise: Array) -> None:
    """Paint all layers, back to front."""
    left, right, _, corner, other = head.landmarks
    hair = build_hair_volume(canvas, factors, head, noise)
    paint_background(canvas, factors.background)
    paint_hair_behind(canvas, factors, head, hair)
    paint_neck(canvas, factors, head, lamp)
    paint_clothing(canvas, factors, head, lamp, noise)
    paint_ears(canvas, factors, head, lamp)
    paint_face(canvas, factors, head, lamp, noise)
    paint_beard(canvas, factors, head, noise)
    paint_mouth(canvas, factors, head, lamp, noise, _compute_midpoint(corner, other))
    paint_eyes(canvas, factors, head, lamp, _compute_midpoint(left, right))
    paint_brows(canvas, factors, head, noise, _compute_midpoint(left, right))
    paint_glasses(canvas, factors, head, lamp)
    paint_hair(factors, head, lamp, hair)  # over the arms of the glasses


def _compute_midpoint(first: Point, second: Point) -> Point:
    """Return the point halfway between two."""
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2


def _add_vignette_and_grain_(planes: Array, factors: Factors) -> Array:
    """Darken the corners and add grain, in place."""
    resolution = planes.shape[1]
    from_middle = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    squared = from_middle * from_middle
    planes *= 1.0 - VIGNETTE * (squared[:, None] + squared[None, :])
    planes += GRAIN * make_grain(factors.texture, resolution)
    return planes


def _average_2x2_boxes(planes: Array) -> Array:
    """Average 2x2 boxes; written as sums, whose order is fixed."""
    rows = planes[:, 0::2] + planes[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * 0.25


def import_demo(*, resolution: int, num_images: int, seed: int) -> ImageSource:
    """Make a source of the portraits 0 to num_images - 1 of a seed, with their landmarks."""
    require_resolution(resolution, "--resolution")
    if num_images < 1:
        raise UserError(f"--num-images must be at least 1, not {num_images}.")
    return ImageSource(
        description=f"drawn portraits, seed {seed}",
        resolution=resolution,
        channels=3,
        count=num_images,
        read=partial(_read_portrait, resolution, seed),
        has_landmarks=True,
        in_processes=True,
    )


def _read_portrait(resolution: int, seed: int, index: int) -> Sample:
    """Return portrait `index` of a seed as a sample with landmarks."""
    portrait = generate_portrait(index, resolution, seed)
    return Sample(portrait.image, portrait.landmarks)
