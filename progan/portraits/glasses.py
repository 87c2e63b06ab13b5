"""Spectacles: they sit in face coordinates, so they stay on the eyes however the head turns."""

import numpy as np

from progan.portraits.canvas import Canvas
from progan.portraits.factors import Factors
from progan.portraits.head import Head
from progan.portraits.light import Lamp
from progan.portraits.shapes import (
    Array,
    at_least,
    at_most,
    ellipse,
    inside,
    planes_of,
    rounded_box,
    smooth,
)

DROP = 0.008  # the lenses hang a little below the eyes


def paint_glasses(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp) -> None:
    """Shadow, lenses and frame."""
    glasses = factors.glasses
    if glasses.style == "none":
        return
    (left_x, left_y), (right_x, right_y) = head.landmarks[:2]
    middle = ((left_x + right_x) / 2, (left_y + right_y) / 2)
    area = canvas.around(middle, 0.34, 0.15)
    if area.empty:
        return
    lens = _lens(area, factors, head)
    frame = at_most(np.abs(lens) - 0.5 * glasses.thickness, _bridge_and_arms(area, factors, head))
    on_head = inside(area.f - 0.97, area.pixel * 4.0, 0.03)
    shadow = smooth(0.022, 0.0, np.abs(lens - 0.012)) * on_head * 0.22
    area.tint((0.62, 0.52, 0.50), shadow)
    glass = inside(lens, area.pixel)
    area.over((0.85, 0.90, 0.95), glass * _reflection(area, lamp) * 0.16)
    area.tint((0.96, 0.98, 0.97), glass)
    light = 0.95 - 3.0 * (area.face_y - head.eye[1])
    colour = light * (planes_of(glasses.colour) * planes_of(lamp.level))
    area.over(colour, inside(frame, area.pixel) * on_head)


def _lens(area: Canvas, factors: Factors, head: Head) -> Array:
    """Signed distance to the edge of the nearer lens."""
    size = factors.glasses.size
    x = np.abs(area.face_x) - head.eye[0] - 0.002
    y = area.face_y - head.eye[1] - DROP
    if factors.glasses.style == "round":
        return ellipse(x, y, (size * 0.94, size * 0.88))
    narrower = 1.0 + 0.9 * y  # squares taper downwards
    return rounded_box(x * narrower, y, (size, size * 0.70), 0.030)


def _bridge_and_arms(area: Canvas, factors: Factors, head: Head) -> Array:
    """Signed distance to the bar over the nose and to the arms towards the ears."""
    size, half = factors.glasses.size, 0.5 * factors.glasses.thickness
    right = np.abs(area.face_x)
    y = area.face_y - head.eye[1] - DROP
    inner, outer = head.eye[0] - size * 0.95, head.eye[0] + size * 0.97
    arc = y + 0.018 - 6.0 * right * right
    bridge = at_least(np.abs(arc) - half, right - inner)
    arm = at_least(np.abs(y + 0.022) - half * 0.9, outer - right)
    return at_most(bridge, arm)


def _reflection(area: Canvas, lamp: Lamp) -> Array:
    """A slanted band of the window in which the lamp stands."""
    across = area.face_x * 0.8 + area.face_y + 0.05 * lamp.direction[0]
    return smooth(0.05, 0.0, np.abs(across - 0.03)) + smooth(0.05, 0.0, np.abs(across + 0.13))
