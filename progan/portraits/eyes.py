"""Eyes and eyebrows, both sides at once: u runs from the inner to the outer corner of each."""

import numpy as np

from progan.portraits.canvas import Canvas
from progan.portraits.factors import Eyes, Factors
from progan.portraits.head import Head, Point
from progan.portraits.light import Lamp
from progan.portraits.shapes import (
    Array,
    at_least,
    bump,
    clamp,
    inside,
    planes_of,
    resolved,
    root,
    smooth,
    value_noise,
)

IRIS = 0.50  # radius, in half widths of the eye


def paint_eyes(
    canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, place: Point
) -> None:
    """Both eyes; `place` is the point between them in the picture."""
    size = factors.eyes.size
    area = canvas.around(place, head.eye[0] + size * 1.75, size * 1.5 + 0.015)
    if area.empty:
        return
    side = np.sign(area.face_x)
    u = (area.face_x * side - head.eye[0]) * (1.0 / size)
    v = (area.face_y - head.eye[1]) * (1.0 / size) + factors.eyes.tilt * u
    arch = at_least(1.0 - u * u, 0.0)
    upper = -factors.eyes.opening * arch * (1.05 - 0.22 * u)
    lower = 0.52 * factors.eyes.opening * arch * (1.0 + 0.25 * u)
    _lids(area, u, v, upper)
    opening = inside(at_least(upper - v, v - lower) * size, area.pixel)
    opening *= inside((np.abs(u) - 1.0) * size, area.pixel)
    ball = _eyeball(factors, lamp, (u, v), side, area.pixel / size)
    ball *= 1.0 - 0.50 * smooth(0.34, 0.0, v - upper)  # the lid shades the ball
    area.over(ball, opening)
    _lashes(area, factors, u, v - upper, v - lower)


def paint_brows(
    canvas: Canvas, factors: Factors, head: Head, lattice: Array, place: Point
) -> None:
    """Both eyebrows, thick near the nose and thin at the temple; `place` as in `paint_eyes`."""
    brows = factors.brows
    x, y = place
    area = canvas.window(x - 0.24, y - 0.13, x + 0.24, y)
    if area.empty:
        return
    u = (np.abs(area.face_x) - head.eye[0] - 0.004) * (1.0 / 0.070)
    line = head.eye[1] - brows.height - brows.tilt * u
    line = line - brows.arch * (1.0 - (u - 0.3) * (u - 0.3))
    half = brows.thickness * clamp(0.78 - 0.38 * u, 0.15)
    across = np.abs(area.face_y - line) - half
    alpha = inside(across, area.pixel, 0.0075) * smooth(1.18, 0.80, u) * smooth(-1.12, -0.75, u)
    density = 0.22 * resolved(0.005, area.pixel)
    if density:
        slanted = area.face_x * 200.0 + area.face_y * 90.0
        alpha *= 0.78 + density * value_noise(lattice, slanted, area.face_y * 60.0)
    else:
        alpha *= 0.78
    area.over(brows.colour, clamp(alpha))


def _lids(area: Canvas, u: Array, v: Array, upper: Array) -> None:
    """The crease above the upper lid and the soft shadow round the eye."""
    crease = np.abs(v - upper * 1.12 + 0.22)
    ends = at_least(1.0 - 0.75 * u * u, 0.0)
    area.tint((0.50, 0.36, 0.33), smooth(0.17, 0.0, crease) * ends * 0.50)
    area.tint((0.72, 0.60, 0.56), bump(u, v, (0.0, -0.1), (1.55, 0.95)) * 0.42)


def _eyeball(
    factors: Factors, lamp: Lamp, place: tuple[Array, Array], side: Array, pixel: float
) -> Array:
    """Display colours [3, h, w] of white, iris, pupil and catch-light; `pixel` in half widths."""
    eyes = factors.eyes
    u, v = place
    du, dv = u - side * eyes.gaze_x, v - (eyes.gaze_y - 0.02)
    r = root(du * du + dv * dv) * (1.0 / IRIS)
    iris, dark = _iris(eyes, r, dv, pixel)
    white = 0.80 - 0.16 * u * u
    inner = smooth(-0.62, -0.95, u)  # the pink inner corner
    light_u, light_v = side * lamp.direction[0] * 0.26, lamp.direction[1] * 0.30
    spot = root((du - light_u) ** 2 + (dv - light_v) ** 2) - 0.105
    glint = inside(spot, pixel, 0.05) * 0.92
    planes = white * (planes_of((1.0, 0.965, 0.94)) * planes_of(lamp.level))
    planes *= 1.0 - inner * planes_of((0.08, 0.32, 0.30))
    planes += iris * (dark * planes_of(eyes.colour) - planes)
    planes += glint * (1.0 - planes)
    return planes


def _iris(eyes: Eyes, r: Array, dv: Array, pixel: float) -> tuple[Array, Array]:
    """Coverage of the iris and its brightness: pupil, limbal ring, more light from below."""
    coverage = inside((r - 1.0) * IRIS, pixel, 0.05)
    glow = 0.85 + 0.55 * dv + 0.25 * smooth(0.85, 0.45, r)
    ring = 1.0 - 0.60 * smooth(0.72, 1.0, r)
    pupil = inside((r - 0.42) * IRIS, pixel, 0.04)
    return coverage, glow * ring * (1.0 - 0.93 * pupil)


def _lashes(area: Canvas, factors: Factors, u: Array, above: Array, below: Array) -> None:
    """The dark edge of the upper lid, heavier outwards, and a faint one below."""
    size = factors.eyes.size
    ends = smooth(1.16, 0.9, np.abs(u))
    heavy = 0.045 + 0.020 * u
    upper = inside((np.abs(above + 0.02) - heavy) * size, area.pixel, 0.06 * size)
    area.over((0.11, 0.075, 0.065), upper * ends * 0.90)
    lower = smooth(0.10, 0.0, np.abs(below))
    area.tint((0.55, 0.40, 0.37), lower * ends * 0.55)
