"""The mouth: lips, teeth, and the shadow below. u runs from -1 to 1 between the corners."""

import numpy as np

from progan.portraits.canvas import Canvas
from progan.portraits.factors import Factors, Mouth
from progan.portraits.head import Head, Point
from progan.portraits.light import Lamp
from progan.portraits.shapes import (
    Array,
    at_least,
    bump,
    inside,
    planes_of,
    resolved,
    smooth,
    value_noise,
)


def paint_mouth(
    canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, lattice: Array, place: Point
) -> None:
    """The mouth, whose middle is seen at the picture coordinates `place`."""
    mouth = factors.mouth
    area = canvas.around(place, mouth.width * 1.6, mouth.width * 1.25)
    if area.empty:
        return
    u = area.face_x * (1.0 / mouth.width)
    v = (area.face_y - head.lips_y) * (1.0 / mouth.width)
    arch = at_least(1.0 - u * u, 0.0)
    middle = (-0.20 * mouth.smile) * u * u + 0.04 * arch
    gap = (0.30 * mouth.openness) * arch
    parting_top, parting_bottom = middle - 0.25 * gap, middle + 0.75 * gap
    top = parting_top - _upper_lip(mouth, u, arch)
    bottom = parting_bottom + 0.33 * mouth.fullness * arch * (1.0 - 0.2 * arch)
    _around(area, u, v, middle, bottom)
    lips = inside(at_least(top - v, v - bottom) * mouth.width, area.pixel, 0.006)
    lips *= inside((np.abs(u) - 1.0) * mouth.width, area.pixel, 0.006)
    colour = _lip_colour(factors, lamp, (u, v), (parting_top, parting_bottom, bottom))
    creases = 0.05 * resolved(0.006, area.pixel)
    if creases:
        colour *= 1.0 + creases * value_noise(lattice, u * 16.0, v * 2.5)
    area.over(colour, lips * 0.92)
    _parting(area, mouth, lamp, (u, v), (parting_top, parting_bottom))


def _upper_lip(mouth: Mouth, u: Array, arch: Array) -> Array:
    """Height of the upper lip: two peaks and the dip between, the cupid's bow."""
    q = at_least(1.0 - u * u * 14.0, 0.0)
    return 0.245 * mouth.fullness * arch * (1.0 - 0.22 * q * q) * (0.86 + 0.25 * u * u)


def _lip_colour(
    factors: Factors,
    lamp: Lamp,
    place: tuple[Array, Array],
    lines: tuple[Array, Array, Array],
) -> Array:
    """Display colours [3, h, w]: the upper lip faces down and is darker, the lower one shines."""
    u, v = place
    parting_top, parting_bottom, bottom = lines
    turn = smooth(-0.03, 0.03, v - parting_top)  # 0 on the upper lip, 1 on the lower
    body = (v - parting_bottom) / at_least(bottom - parting_bottom, 0.02)
    light = 0.78 + 0.26 * turn - 0.20 * turn * at_least(body - 0.45, 0.0)
    light = light - 0.12 * u * u + 0.06 * u * lamp.direction[0]
    shine = bump(u, body, (0.25 * lamp.direction[0], 0.38), (0.55, 0.30)) * turn * 0.20
    colour = factors.mouth.colour
    planes = light * (planes_of(colour) * planes_of(lamp.level))
    planes += shine * (1.0 - planes)
    return planes


def _around(area: Canvas, u: Array, v: Array, middle: Array, bottom: Array) -> None:
    """Shadow below the lower lip, the groove above the upper one, and the corners."""
    below = bump(u, v - bottom, (0.0, 0.10), (0.75, 0.17))
    corners = bump(np.abs(u), v - middle, (1.04, 0.0), (0.22, 0.17))
    groove = bump(u, v, (0.0, -0.50), (0.13, 0.24))
    area.tint((0.66, 0.52, 0.48), below * 0.55 + corners * 0.45 + groove * 0.14)


def _parting(
    area: Canvas,
    mouth: Mouth,
    lamp: Lamp,
    place: tuple[Array, Array],
    lines: tuple[Array, Array],
) -> None:
    """The dark line between the lips, or the open mouth with its upper teeth."""
    u, v = place
    top, bottom = lines
    ends = smooth(1.05, 0.85, np.abs(u))
    line = smooth(0.065, 0.0, np.abs(v - (top + bottom) * 0.5) - (bottom - top) * 0.5)
    area.tint((0.34, 0.20, 0.19), line * ends * 0.85)
    if mouth.openness == 0.0:
        return
    opening = inside(at_least(top - v, v - bottom) * mouth.width, area.pixel, 0.003)
    area.over((0.20, 0.07, 0.07), opening * ends)
    edge = top + 0.62 * (bottom - top) + 0.02
    teeth = opening * inside((v - edge) * mouth.width, area.pixel, 0.004)
    teeth *= smooth(0.95, 0.6, np.abs(u))
    shade = (0.93 - 0.35 * u * u) * (1.0 - 0.25 * smooth(0.07, 0.0, v - top))
    white = shade * (planes_of((0.93, 0.90, 0.85)) * planes_of(lamp.level))
    area.over(white, teeth * 0.95)
