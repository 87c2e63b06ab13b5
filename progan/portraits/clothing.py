"""Shoulders and clothing."""

import numpy as np

from progan.portraits.canvas import Canvas
from progan.portraits.factors import Factors
from progan.portraits.head import Head
from progan.portraits.light import Lamp, normal_of
from progan.portraits.shapes import (
    Array,
    at_least,
    inside,
    planes_of,
    resolved,
    smooth,
    value_noise,
)
from progan.portraits.skin import neck_x, shoulder_line


def paint_clothing(
    canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, lattice: Array
) -> None:
    """What covers the shoulders below the neckline."""
    area = canvas.window(0.0, head.y + 0.25, 1.0, 1.0)
    if area.empty:
        return
    x, y = area.x - neck_x(head), area.y - head.y
    top = shoulder_line(x, factors.clothing) - 0.008
    neckline = _neckline(x, factors)
    distance = at_least(top - y, neckline - y) * 0.85
    folds = value_noise(lattice, x * 9.0 + y * 5.0, y * 7.0 - x * 3.0)
    rise = at_least(1.0 - (y - top) * 6.0, 0.0)  # the cloth turns away over the shoulder
    normal = normal_of(x * 1.1 + folds * 0.42, folds * 0.30 - 0.75 * rise * rise)
    colour = lamp.shade(factors.clothing.colour, normal, (0.1, 0.1, 0.1))
    weave = 0.03 * resolved(0.00625, area.pixel)
    if weave:
        colour *= 1.0 + weave * value_noise(lattice, x * 160.0, y * 160.0)
    cloth = inside(distance, area.pixel)
    on_neck = inside(np.abs(x) - factors.clothing.neck * 0.97, area.pixel, 0.02)
    area.tint((0.70, 0.60, 0.57), smooth(0.035, 0.0, distance) * on_neck * 0.6)
    area.over(colour, cloth)
    hem = smooth(0.012, 0.0, np.abs(y - neckline - 0.012) * 0.8) * cloth
    area.tint((0.78, 0.78, 0.80), hem * smooth(0.2, 0.1, np.abs(x)) * 0.5)
    if factors.clothing.style == "collar":
        _collar(area, factors, lamp, (x, y))


def _neckline(x: Array, factors: Factors) -> Array:
    """Height of the opening for the neck, below the middle of the head."""
    away = np.abs(x) * (1.0 / (factors.clothing.neck * 1.12))
    level = 0.390
    if factors.clothing.style == "v-neck":
        return level + 0.125 * at_least(1.0 - away, 0.0) - 0.3 * at_least(away - 1.0, 0.0)
    q = at_least(1.0 - away * away, 0.0)
    depth = 0.055 if factors.clothing.style == "crew" else 0.09
    return level + depth * q - 0.3 * at_least(away - 1.0, 0.0)


def _collar(area: Canvas, factors: Factors, lamp: Lamp, place: tuple[Array, Array]) -> None:
    """The two flaps of a shirt collar."""
    x, y = place
    neck = factors.clothing.neck
    right = np.abs(x)
    inner = 0.362 + 0.95 * at_least(neck * 1.02 - right, 0.0)  # runs down to the middle
    inner = inner + 0.9 * at_least(right - neck, 0.0)
    outer = 0.455 + 0.35 * (neck - right)
    flap = at_least(at_least(inner - y, y - outer) * 0.7, right - neck * 1.22)
    light = 1.06 - 1.3 * (y - 0.40) + 0.4 * x * lamp.direction[0]
    body = at_least(smooth(0.01, 0.0, right - neck), smooth(0.0, 0.02, y - 0.40))
    shadow = smooth(0.022, -0.005, flap) * body
    area.tint((0.66, 0.66, 0.70), shadow * 0.7)
    colour = light * (planes_of(factors.clothing.colour) * planes_of(lamp.level))
    area.over(colour, inside(flap, area.pixel))
