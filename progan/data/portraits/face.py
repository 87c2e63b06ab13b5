"""Eyes, eyebrows, glasses and mouth."""

import numpy as np

from progan.data.portraits.canvas import Canvas, Head, Point
from progan.data.portraits.factors import Eyes, Factors, Mouth
from progan.data.portraits.numerics import (
    Array,
    Lamp,
    clamp,
    colour_to_planes,
    coverage_of_distance,
    ellipse_distance,
    elliptic_bump,
    pattern_visibility,
    rounded_box_distance,
    safe_sqrt,
    smoothstep,
    value_noise,
)

IRIS = 0.50  # radius, in half widths of the eye
DROP = 0.008  # the lenses hang a little below the eyes


def paint_eyes(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, place: Point) -> None:
    """Paint both eyes; `place` is the point between them in the image."""
    size = factors.eyes.size
    area = canvas.window_around(place, head.eye[0] + size * 1.75, size * 1.5 + 0.015)
    if area.is_empty:
        return
    side = np.sign(area.face_x)
    u = (area.face_x * side - head.eye[0]) * (1.0 / size)
    v = (area.face_y - head.eye[1]) * (1.0 / size) + factors.eyes.tilt * u
    arch = np.maximum(1.0 - u * u, 0.0)
    upper = -factors.eyes.opening * arch * (1.05 - 0.22 * u)
    lower = 0.52 * factors.eyes.opening * arch * (1.0 + 0.25 * u)
    _paint_lids(area, u, v, upper)
    opening = coverage_of_distance(np.maximum(upper - v, v - lower) * size, area.pixel)
    opening *= coverage_of_distance((np.abs(u) - 1.0) * size, area.pixel)
    ball = _eyeball_colours(factors, lamp, (u, v), side, area.pixel / size)
    ball *= 1.0 - 0.50 * smoothstep(0.34, 0.0, v - upper)  # the lid shades the ball
    area.blend(ball, opening)
    _paint_lashes(area, factors, u, v - upper, v - lower)


def paint_brows(canvas: Canvas, factors: Factors, head: Head, lattice: Array, place: Point) -> None:
    """Paint both eyebrows, thick near the nose, thin at the temple; `place` as in `paint_eyes`."""
    brows = factors.brows
    x, y = place
    area = canvas.window(x - 0.24, y - 0.13, x + 0.24, y)
    if area.is_empty:
        return
    u = (np.abs(area.face_x) - head.eye[0] - 0.004) * (1.0 / 0.070)
    line = head.eye[1] - brows.height - brows.tilt * u
    line = line - brows.arch * (1.0 - (u - 0.3) * (u - 0.3))
    half = brows.thickness * clamp(0.78 - 0.38 * u, 0.15)
    across = np.abs(area.face_y - line) - half
    alpha = (
        coverage_of_distance(across, area.pixel, 0.0075)
        * smoothstep(1.18, 0.80, u)
        * smoothstep(-1.12, -0.75, u)
    )
    density = 0.22 * pattern_visibility(0.005, area.pixel)
    if density:
        slanted = area.face_x * 200.0 + area.face_y * 90.0
        alpha *= 0.78 + density * value_noise(lattice, slanted, area.face_y * 60.0)
    else:
        alpha *= 0.78
    area.blend(brows.colour, clamp(alpha))


def _paint_lids(area: Canvas, u: Array, v: Array, upper: Array) -> None:
    """Paint the crease above the upper lid and the soft shadow round the eye."""
    crease = np.abs(v - upper * 1.12 + 0.22)
    ends = np.maximum(1.0 - 0.75 * u * u, 0.0)
    area.multiply((0.50, 0.36, 0.33), smoothstep(0.17, 0.0, crease) * ends * 0.50)
    area.multiply((0.72, 0.60, 0.56), elliptic_bump(u, v, (0.0, -0.1), (1.55, 0.95)) * 0.42)


def _eyeball_colours(
    factors: Factors, lamp: Lamp, place: tuple[Array, Array], side: Array, pixel: float
) -> Array:
    """Return colours [3, h, w] of white, iris, pupil, catch-light; `pixel` in half widths."""
    eyes = factors.eyes
    u, v = place
    du, dv = u - side * eyes.gaze_x, v - (eyes.gaze_y - 0.02)
    r = safe_sqrt(du * du + dv * dv) * (1.0 / IRIS)
    iris, dark = _iris_coverage_and_brightness(eyes, r, dv, pixel)
    white = 0.80 - 0.16 * u * u
    inner = smoothstep(-0.62, -0.95, u)  # the pink inner corner
    light_u, light_v = side * lamp.direction[0] * 0.26, lamp.direction[1] * 0.30
    spot = safe_sqrt((du - light_u) ** 2 + (dv - light_v) ** 2) - 0.105
    glint = coverage_of_distance(spot, pixel, 0.05) * 0.92
    planes = white * (colour_to_planes((1.0, 0.965, 0.94)) * colour_to_planes(lamp.level))
    planes *= 1.0 - inner * colour_to_planes((0.08, 0.32, 0.30))
    planes += iris * (dark * colour_to_planes(eyes.colour) - planes)
    planes += glint * (1.0 - planes)
    return planes


def _iris_coverage_and_brightness(
    eyes: Eyes, r: Array, dv: Array, pixel: float
) -> tuple[Array, Array]:
    """Return (coverage, brightness) of the iris: pupil, limbal ring, lighter below."""
    alpha = coverage_of_distance((r - 1.0) * IRIS, pixel, 0.05)
    glow = 0.85 + 0.55 * dv + 0.25 * smoothstep(0.85, 0.45, r)
    ring = 1.0 - 0.60 * smoothstep(0.72, 1.0, r)
    pupil = coverage_of_distance((r - 0.42) * IRIS, pixel, 0.04)
    return alpha, glow * ring * (1.0 - 0.93 * pupil)


def _paint_lashes(area: Canvas, factors: Factors, u: Array, above: Array, below: Array) -> None:
    """Paint the dark edge of the upper lid, heavier outwards, and a faint one below."""
    size = factors.eyes.size
    ends = smoothstep(1.16, 0.9, np.abs(u))
    heavy = 0.045 + 0.020 * u
    upper = coverage_of_distance((np.abs(above + 0.02) - heavy) * size, area.pixel, 0.06 * size)
    area.blend((0.11, 0.075, 0.065), upper * ends * 0.90)
    lower = smoothstep(0.10, 0.0, np.abs(below))
    area.multiply((0.55, 0.40, 0.37), lower * ends * 0.55)


def paint_glasses(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp) -> None:
    """Paint shadow, lenses and frame of the glasses."""
    glasses = factors.glasses
    if glasses.style == "none":
        return
    (left_x, left_y), (right_x, right_y) = head.landmarks[:2]
    middle = ((left_x + right_x) / 2, (left_y + right_y) / 2)
    area = canvas.window_around(middle, 0.34, 0.15)
    if area.is_empty:
        return
    lens = _lens_distance(area, factors, head)
    frame = np.minimum(
        np.abs(lens) - 0.5 * glasses.thickness, _glasses_frame_distance(area, factors, head)
    )
    on_head = coverage_of_distance(area.f - 0.97, area.pixel * 4.0, 0.03)
    shadow = smoothstep(0.022, 0.0, np.abs(lens - 0.012)) * on_head * 0.22
    area.multiply((0.62, 0.52, 0.50), shadow)
    glass = coverage_of_distance(lens, area.pixel)
    area.blend((0.85, 0.90, 0.95), glass * _lens_reflection_alpha(area, lamp) * 0.16)
    area.multiply((0.96, 0.98, 0.97), glass)
    light = 0.95 - 3.0 * (area.face_y - head.eye[1])
    colour = light * (colour_to_planes(glasses.colour) * colour_to_planes(lamp.level))
    area.blend(colour, coverage_of_distance(frame, area.pixel) * on_head)


def _lens_distance(area: Canvas, factors: Factors, head: Head) -> Array:
    """Return the signed distance to the edge of the nearer lens, negative inside."""
    size = factors.glasses.size
    x = np.abs(area.face_x) - head.eye[0] - 0.002
    y = area.face_y - head.eye[1] - DROP
    if factors.glasses.style == "round":
        return ellipse_distance(x, y, (size * 0.94, size * 0.88))
    narrower = 1.0 + 0.9 * y  # squares taper downwards
    return rounded_box_distance(x * narrower, y, (size, size * 0.70), 0.030)


def _glasses_frame_distance(area: Canvas, factors: Factors, head: Head) -> Array:
    """Return the signed distance to the bar over the nose and the arms to the ears."""
    size, half = factors.glasses.size, 0.5 * factors.glasses.thickness
    right = np.abs(area.face_x)
    y = area.face_y - head.eye[1] - DROP
    inner, outer = head.eye[0] - size * 0.95, head.eye[0] + size * 0.97
    arc = y + 0.018 - 6.0 * right * right
    bridge = np.maximum(np.abs(arc) - half, right - inner)
    arm = np.maximum(np.abs(y + 0.022) - half * 0.9, outer - right)
    bars: Array = np.minimum(bridge, arm)
    return bars


def _lens_reflection_alpha(area: Canvas, lamp: Lamp) -> Array:
    """Return coverage of two slanted bands of a window that is the lamp: [h, w]."""
    across = area.face_x * 0.8 + area.face_y + 0.05 * lamp.direction[0]
    return smoothstep(0.05, 0.0, np.abs(across - 0.03)) + smoothstep(
        0.05, 0.0, np.abs(across + 0.13)
    )


def paint_mouth(
    canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, lattice: Array, place: Point
) -> None:
    """Paint the mouth, whose middle is seen at the image coordinates `place`."""
    mouth = factors.mouth
    area = canvas.window_around(place, mouth.width * 1.6, mouth.width * 1.25)
    if area.is_empty:
        return
    u = area.face_x * (1.0 / mouth.width)
    v = (area.face_y - head.lips_y) * (1.0 / mouth.width)
    arch = np.maximum(1.0 - u * u, 0.0)
    middle = (-0.20 * mouth.smile) * u * u + 0.04 * arch
    gap = (0.30 * mouth.openness) * arch
    parting_top, parting_bottom = middle - 0.25 * gap, middle + 0.75 * gap
    top = parting_top - _upper_lip_height(mouth, u, arch)
    bottom = parting_bottom + 0.33 * mouth.fullness * arch * (1.0 - 0.2 * arch)
    _paint_mouth_shadows(area, u, v, middle, bottom)
    lips = coverage_of_distance(np.maximum(top - v, v - bottom) * mouth.width, area.pixel, 0.006)
    lips *= coverage_of_distance((np.abs(u) - 1.0) * mouth.width, area.pixel, 0.006)
    colour = _lip_colour(factors, lamp, (u, v), (parting_top, parting_bottom, bottom))
    creases = 0.05 * pattern_visibility(0.006, area.pixel)
    if creases:
        colour *= 1.0 + creases * value_noise(lattice, u * 16.0, v * 2.5)
    area.blend(colour, lips * 0.92)
    _paint_parting(area, mouth, lamp, (u, v), (parting_top, parting_bottom))


def _upper_lip_height(mouth: Mouth, u: Array, arch: Array) -> Array:
    """Return the height of the upper lip at `u`: two peaks and the dip between."""
    q = np.maximum(1.0 - u * u * 14.0, 0.0)
    return 0.245 * mouth.fullness * arch * (1.0 - 0.22 * q * q) * (0.86 + 0.25 * u * u)


def _lip_colour(
    factors: Factors, lamp: Lamp, place: tuple[Array, Array], lines: tuple[Array, Array, Array]
) -> Array:
    """Return display colours [3, h, w]: the upper lip is darker, the lower one shines."""
    u, v = place
    parting_top, parting_bottom, bottom = lines
    turn = smoothstep(-0.03, 0.03, v - parting_top)  # 0 on the upper lip, 1 on the lower
    body = (v - parting_bottom) / np.maximum(bottom - parting_bottom, 0.02)
    light = 0.78 + 0.26 * turn - 0.20 * turn * np.maximum(body - 0.45, 0.0)
    light = light - 0.12 * u * u + 0.06 * u * lamp.direction[0]
    shine = elliptic_bump(u, body, (0.25 * lamp.direction[0], 0.38), (0.55, 0.30)) * turn * 0.20
    colour = factors.mouth.colour
    planes = light * (colour_to_planes(colour) * colour_to_planes(lamp.level))
    planes += shine * (1.0 - planes)
    return planes


def _paint_mouth_shadows(area: Canvas, u: Array, v: Array, middle: Array, bottom: Array) -> None:
    """Paint the shadow below the lower lip, the groove above the upper one, and the corners."""
    below = elliptic_bump(u, v - bottom, (0.0, 0.10), (0.75, 0.17))
    corners = elliptic_bump(np.abs(u), v - middle, (1.04, 0.0), (0.22, 0.17))
    groove = elliptic_bump(u, v, (0.0, -0.50), (0.13, 0.24))
    area.multiply((0.66, 0.52, 0.48), below * 0.55 + corners * 0.45 + groove * 0.14)


def _paint_parting(
    area: Canvas, mouth: Mouth, lamp: Lamp, place: tuple[Array, Array], lines: tuple[Array, Array]
) -> None:
    """Paint the dark line between the lips, or the open mouth with its upper teeth."""
    u, v = place
    top, bottom = lines
    ends = smoothstep(1.05, 0.85, np.abs(u))
    line = smoothstep(0.065, 0.0, np.abs(v - (top + bottom) * 0.5) - (bottom - top) * 0.5)
    area.multiply((0.34, 0.20, 0.19), line * ends * 0.85)
    if mouth.openness == 0.0:
        return
    opening = coverage_of_distance(np.maximum(top - v, v - bottom) * mouth.width, area.pixel, 0.003)
    area.blend((0.20, 0.07, 0.07), opening * ends)
    edge = top + 0.62 * (bottom - top) + 0.02
    teeth = opening * coverage_of_distance((v - edge) * mouth.width, area.pixel, 0.004)
    teeth *= smoothstep(0.95, 0.6, np.abs(u))
    shade = (0.93 - 0.35 * u * u) * (1.0 - 0.25 * smoothstep(0.07, 0.0, v - top))
    white = shade * (colour_to_planes((0.93, 0.90, 0.85)) * colour_to_planes(lamp.level))
    area.blend(white, teeth * 0.95)
