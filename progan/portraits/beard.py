"""Hair on the face."""

from dataclasses import dataclass

import numpy as np

from progan.portraits.canvas import Canvas
from progan.portraits.factors import BeardStyle, Factors
from progan.portraits.head import Head
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


@dataclass(frozen=True, slots=True)
class Growth:
    """How densely the parts of the face are grown, 0..1."""

    lip: float  # moustache
    chin: float
    jaw: float  # jaw and cheeks


GROWTHS: dict[BeardStyle, Growth] = {
    "none": Growth(0.0, 0.0, 0.0),
    "stubble": Growth(0.38, 0.40, 0.36),
    "moustache": Growth(0.92, 0.0, 0.0),
    "goatee": Growth(0.85, 0.92, 0.0),
    "full": Growth(0.90, 0.95, 0.92),
}


def paint_beard(canvas: Canvas, factors: Factors, head: Head, lattice: Array) -> None:
    """Painted before the mouth, so that the lips stay free."""
    growth = GROWTHS[factors.beard.style]
    if growth.lip == growth.chin == growth.jaw == 0.0:
        return
    area = canvas.window(head.x - 0.36, head.y - 0.05, head.x + 0.36, head.y + 0.46)
    if area.empty:
        return
    alpha = _coverage(area, factors, head, growth) * (0.55 + 0.45 * factors.beard.density)
    fineness = resolved(0.009, area.pixel)
    hairs = fineness * value_noise(lattice, area.face_x * 120.0, area.face_y * 45.0)
    clumps = value_noise(lattice, area.face_x * 30.0 + 9.0, area.face_y * 18.0)
    light: Array = 1.0 + 0.28 * hairs + 0.14 * clumps + 0.5 * factors.light.side * area.head_x
    light = light - 0.9 * at_least(area.face_y - head.lips_y - 0.08, 0.0)
    alpha *= 1.0 + 0.22 * hairs + 0.10 * clumps
    area.over(light * planes_of(factors.beard.colour), clamp(alpha))


def _coverage(area: Canvas, factors: Factors, head: Head, growth: Growth) -> Array:
    x, y = area.face_x, area.face_y
    right, lips, wide = np.abs(x), head.lips_y, factors.mouth.width
    middle = lips - 0.048 + 0.25 * at_least(right - 0.012, 0.0)  # falls round the mouth
    lip = inside(np.abs(y - middle) - 0.015, area.pixel, 0.014) * smooth(1.22, 0.95, right / wide)
    chin = bump(x, y, (0.0, lips + 0.105), (0.115, 0.115))
    chin = smooth(0.0, 0.30, chin) * smooth(0.035, 0.06, y - lips)
    cheek_line: Array = lips - 0.035 - 0.9 * at_least(right - 0.10, 0.0)
    cheek_line = cheek_line + 0.5 * at_least(0.10 - right, 0.0)
    jaw: Array = smooth(0.0, 0.06, y - cheek_line) * smooth(0.6, 1.05, right / wide)
    jaw = at_least(jaw, smooth(0.05, 0.10, y - lips))
    skin = inside(root(area.f) - 1.02, area.pixel * 3.0, 0.015)
    grown = at_least(at_least(lip * growth.lip, chin * growth.chin), jaw * growth.jaw)
    return grown * skin
