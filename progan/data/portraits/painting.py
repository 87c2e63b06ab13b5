"""Layers in painter's order, from the background to the film grain."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

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
from progan.data.portraits.hair import hair_on, paint_beard, paint_hair, paint_hair_behind
from progan.data.portraits.noise import COARSEST_GRAIN, grain, lattice
from progan.data.portraits.population import factors
from progan.data.portraits.shapes import Array, Lamp, clamp

LOWEST, HIGHEST = 4, 1024  # resolutions
GRAIN = 0.007  # amplitude per level, in 0..1 display
VIGNETTE = 0.42  # loss of light per squared picture width from the middle
STRIP_PIXELS = 16384  # one plane of a strip is 64 KiB, so a strip stays in the cache


@dataclass(frozen=True, slots=True)
class Portrait:
    """A picture and where its features are."""

    image: npt.NDArray[np.uint8]  # [R, R, 3] RGB
    landmarks: npt.NDArray[np.float32]
    """[5, 2] x, y in pixels, pixel centres at integer + 0.5, as seen in the image: left eye,
    right eye, nose, left and right corner of the mouth (the order of CelebA)."""


def draw(index: int, resolution: int, seed: int = 0) -> Portrait:
    """Portrait `index` of the endless series `seed`, the same one at every resolution."""
    return paint(factors(index, seed), resolution)


def paint(sitter: Factors, resolution: int) -> Portrait:
    """The portrait that these factors describe; `resolution` is a power of two from 4 to 1024."""
    if not LOWEST <= resolution <= HIGHEST or resolution & (resolution - 1):
        raise ValueError(f"resolution must be a power of two from 4 to 1024, not {resolution}")
    head = Head.of(sitter)
    planes = _develop(_layers(sitter, head, max(resolution, COARSEST_GRAIN)), sitter)
    while planes.shape[1] > resolution:
        planes = _halved(planes)
    image = np.ascontiguousarray((clamp(planes) * 255.0 + 0.5).astype(np.uint8).transpose(1, 2, 0))
    return Portrait(image, np.array(head.landmarks, dtype=np.float32) * np.float32(resolution))


def _layers(sitter: Factors, head: Head, resolution: int) -> Array:
    """Display values [3, R, R], strip by strip: every pixel depends on its coordinates only."""
    lamp, noise = Lamp.of(sitter.light), lattice(sitter.texture)
    rows = min(resolution, max(1, STRIP_PIXELS // resolution))
    planes = np.empty((3, resolution, resolution), dtype=np.float32)
    for top in range(0, resolution, rows):
        canvas = Canvas.blank(head, resolution, range(top, top + rows))
        _paint_strip(canvas, sitter, head, lamp, noise)
        planes[:, top : top + rows] = canvas.colour
    return planes


def _paint_strip(canvas: Canvas, sitter: Factors, head: Head, lamp: Lamp, noise: Array) -> None:
    """All layers, back to front."""
    left, right, _, corner, other = head.landmarks
    hair = hair_on(canvas, sitter, head, noise)
    paint_background(canvas, sitter.background)
    paint_hair_behind(canvas, sitter, head, hair)
    paint_neck(canvas, sitter, head, lamp)
    paint_clothing(canvas, sitter, head, lamp, noise)
    paint_ears(canvas, sitter, head, lamp)
    paint_face(canvas, sitter, head, lamp, noise)
    paint_beard(canvas, sitter, head, noise)
    paint_mouth(canvas, sitter, head, lamp, noise, _between(corner, other))
    paint_eyes(canvas, sitter, head, lamp, _between(left, right))
    paint_brows(canvas, sitter, head, noise, _between(left, right))
    paint_glasses(canvas, sitter, head, lamp)
    paint_hair(sitter, head, lamp, hair)  # over the arms of the glasses


def _between(first: Point, second: Point) -> Point:
    return (first[0] + second[0]) / 2, (first[1] + second[1]) / 2


def _develop(planes: Array, sitter: Factors) -> Array:
    """Vignette and film grain, in place."""
    resolution = planes.shape[1]
    from_middle = (np.arange(resolution, dtype=np.float32) + 0.5) / resolution - 0.5
    squared = from_middle * from_middle
    planes *= 1.0 - VIGNETTE * (squared[:, None] + squared[None, :])
    planes += GRAIN * grain(sitter.texture, resolution)
    return planes


def _halved(planes: Array) -> Array:
    """2x2 box average; written as sums, whose order is fixed."""
    rows = planes[:, 0::2] + planes[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * 0.25
