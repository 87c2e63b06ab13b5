"""Skin, neck, ears, clothing and the background."""

import numpy as np

from progan.data.portraits.canvas import Canvas, Head
from progan.data.portraits.factors import Background, Clothing, Colour, Face, Factors
from progan.data.portraits.numerics import (
    Array,
    Lamp,
    clamp,
    colour_to_planes,
    compute_unit_normal,
    coverage_of_distance,
    ellipse_distance,
    elliptic_bump,
    pattern_visibility,
    safe_sqrt,
    smoothstep,
    value_noise,
)

WRAP: Colour = (0.42, 0.24, 0.16)  # blood carries red light farthest
RELIEF = 0.22  # apparent depth of the skull for shading; less than true, faces are flat in front
BLUSH: Colour = (1.0, 0.74, 0.72)
SHADOW: Colour = (0.62, 0.48, 0.44)


def head_edge_distance(canvas: Canvas) -> Array:
    """Return the signed distance to the outline of the head, to first order, negative inside."""
    g = safe_sqrt(canvas.f)
    fx, fy = canvas.slope
    return (g - 1.0) * 2.0 * g / (safe_sqrt(fx * fx + fy * fy) + 1e-3)


def paint_face(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, lattice: Array) -> None:
    """Paint the head without eyes, mouth and hair."""
    reach = head.height * 1.08
    area = canvas.window_around((head.x, head.y), reach, reach)
    if area.is_empty:
        return
    normal = compute_unit_normal(*_relief_slopes(area, factors.face, head))
    colour = lamp.shade(factors.skin.colour, normal, WRAP)
    shine = lamp.gloss(normal, 4) * (0.13 + 0.05 * factors.skin.melanin)
    colour += shine * (1.0 - colour)
    pores = 0.02 * pattern_visibility(0.008, area.pixel)
    if pores:
        colour *= 1.0 + pores * value_noise(lattice, area.face_x * 125.0, area.face_y * 125.0)
    area.blend(colour, coverage_of_distance(head_edge_distance(area), area.pixel))
    _paint_complexion(area, factors, head)


def paint_ears(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp) -> None:
    """Paint both ears; the one that the head turns away from us hides behind it."""
    for side in (-1.0, 1.0):
        inwards = 0.012 + 0.16 * max(0.0, side * head.yaw[1])
        if inwards > 0.052:
            continue
        x, y = side * (head.width * 0.99 - inwards), 0.025
        area = canvas.window_around(head.to_image(x, y), 0.08, 0.11)
        if area.is_empty:
            continue
        u, v = (area.head_x - x) * side, area.head_y - y
        u = u - 0.12 * v  # ears lean outwards at the top
        u = u + 0.25 * v * np.maximum(v, 0.0) / 0.08
        normal = compute_unit_normal(u * (side * -14.0) + side * 0.25, v * 2.0)
        colour = lamp.shade(factors.skin.colour, normal, WRAP)
        area.blend(colour, coverage_of_distance(ellipse_distance(u, v, (0.040, 0.078)), area.pixel))
        hollow = elliptic_bump(u, v, (0.012, -0.008), (0.022, 0.05))
        area.multiply((0.66, 0.46, 0.40), hollow * 0.75)
        area.multiply(
            BLUSH, elliptic_bump(u, v, (0.0, 0.0), (0.06, 0.1)) * (0.5 * factors.skin.blush)
        )


def paint_neck(canvas: Canvas, factors: Factors, head: Head, lamp: Lamp) -> None:
    """Paint neck and upper chest, shaded by the chin."""
    area = canvas.window(0.0, head.y + 0.1, 1.0, 1.0)
    if area.is_empty:
        return
    clothing = factors.clothing
    x, y = area.x - neck_x(head), area.y - head.y
    half = clothing.neck * (1.0 + 6.0 * np.maximum(y - 0.33, 0.0) ** 2)
    distance = np.minimum(np.abs(x) - half, shoulder_line(x, clothing) - y)
    distance = np.maximum(distance, 0.15 - y)  # the head hides where the neck ends
    u = clamp(x / half, -1.0, 1.0)
    normal = compute_unit_normal(u / safe_sqrt(1.25 - u * u) * -0.9, 0.0 * y - 0.1)
    colour = lamp.shade(factors.skin.colour, normal, WRAP)
    area.blend(colour, coverage_of_distance(distance, area.pixel))
    _paint_chin_shadow(area, head, lamp, coverage_of_distance(distance, area.pixel))


def neck_x(head: Head) -> float:
    """Return the image coordinate of the middle of the neck: it follows the back of the head."""
    return head.x - 0.10 * head.yaw[1] - 0.25 * head.roll[1]


def shoulder_line(x: Array, clothing: Clothing) -> Array:
    """Return the height of the shoulders at `x`, counted from the middles of neck and head."""
    away = np.maximum(np.abs(x) - 0.09, 0.0)
    return 0.392 + clothing.shoulders * 1.6 * away * away / (away + 0.12)


def _paint_chin_shadow(area: Canvas, head: Head, lamp: Lamp, skin: Array) -> None:
    """Paint the shadow under the jaw, thrown to the side away from the lamp."""
    thrown_x, thrown_y = -0.05 * lamp.direction[0], 0.05
    f, fx, fy = head.outline(area.head_x - thrown_x, area.head_y - thrown_y)
    g = safe_sqrt(f)
    away = (g - 1.0) * 2.0 * g / (safe_sqrt(fx * fx + fy * fy) + 1e-3)
    area.multiply((0.50, 0.38, 0.35), skin * smoothstep(0.045, -0.035, away) * 0.85)
    area.multiply((0.80, 0.72, 0.70), skin * smoothstep(0.16, 0.0, away) * 0.8)


def _relief_slopes(area: Canvas, face: Face, head: Head) -> tuple[Array, Array]:
    """Return slopes dz/dx, dz/dy of the face: an ellipsoid with hills and hollows on it."""
    steep = (-0.5 * RELIEF) / safe_sqrt(np.maximum(1.0 - area.f, 0.03))
    slope_x, slope_y = area.slope[0] * steep, area.slope[1] * steep
    right = np.abs(area.face_x)
    sign = np.sign(area.face_x)
    for x, y, radius_x, radius_y, height in _list_relief_bumps(face, head):
        u, v = (right - x) * (1.0 / radius_x), (area.face_y - y) * (1.0 / radius_y)
        q = np.maximum(1.0 - u * u - v * v, 0.0)
        steep = q * q * (-6.0 * height)
        slope_x += steep * u * sign * (1.0 / radius_x)
        slope_y += steep * v * (1.0 / radius_y)
    return slope_x, slope_y


def _list_relief_bumps(face: Face, head: Head) -> list[tuple[float, float, float, float, float]]:
    """Return (centre x (mirrored), centre y, two radii, height) of hills and hollows of a face."""
    eye_x, eye_y = head.eye
    tip_y, lips = head.nose[1], head.lips_y
    wide, cheek = face.nose_width, face.cheeks
    return [
        (0.0, tip_y - 0.065, 0.042 * wide, 0.115, 0.026),  # bridge of the nose
        (0.0, tip_y, 0.062 * wide, 0.052, 0.031),  # its tip
        (0.034 * wide, tip_y + 0.010, 0.026, 0.028, 0.011),  # its wings
        (eye_x - 0.01, eye_y + 0.002, 0.085, 0.062, -0.021),  # sockets
        (eye_x * 0.9, eye_y - 0.075, 0.12, 0.045, 0.006),  # ridge of the brows
        (0.125, tip_y - 0.005, 0.105, 0.090, 0.021 * cheek),  # cheekbones
        (0.0, lips + 0.005, 0.11, 0.085, 0.010),  # the muzzle
        (0.0, lips + 0.058, 0.06, 0.028, -0.005),  # under the lower lip
        (0.0, lips + 0.105, 0.075, 0.060, 0.019),  # the chin
        (0.0, -0.21, 0.17, 0.12, 0.010),  # the forehead
    ]


def _paint_complexion(area: Canvas, factors: Factors, head: Head) -> None:
    """Paint blush, the shadows in the hollows, the folds that age deepens."""
    x, y = area.face_x, area.face_y
    right = np.abs(x)
    eye_x, eye_y = head.eye
    tip_y = head.nose[1]
    blush = elliptic_bump(right, y, (0.13, tip_y + 0.005), (0.10, 0.08))
    blush += 0.6 * elliptic_bump(x, y, (0.0, tip_y), (0.05, 0.05))
    blush += 0.5 * elliptic_bump(x, y, (0.0, head.lips_y + 0.10), (0.07, 0.05))
    area.multiply(BLUSH, blush * (0.45 * factors.skin.blush))
    hollow = 0.32 * smoothstep(0.62, 1.0, area.f)  # the sides get less ambient light
    hollow += 0.30 * elliptic_bump(right, y, (eye_x - 0.035, eye_y - 0.025), (0.055, 0.05))
    hollow += 0.22 * elliptic_bump(right, y, (eye_x, eye_y + 0.035), (0.06, 0.03))
    area.multiply(SHADOW, hollow * coverage_of_distance(head_edge_distance(area), area.pixel))
    area.multiply(
        SHADOW, _nose_shadow_alpha(x, y, factors, head) + _smile_fold_alpha(right, y, factors, head)
    )


def _nose_shadow_alpha(x: Array, y: Array, factors: Factors, head: Head) -> Array:
    """Return coverage of nostrils, creases of the wings, and the shadow of the nose: [h, w]."""
    tip_y, wide = head.nose[1], factors.face.nose_width
    thrown = -0.035 * factors.light.side
    right = np.abs(x)
    shade = 0.55 * elliptic_bump(x, y, (thrown, tip_y + 0.038), (0.058 * wide, 0.030))
    shade += 0.95 * elliptic_bump(right, y, (0.021 * wide, tip_y + 0.024), (0.018 * wide, 0.013))
    shade += 0.40 * elliptic_bump(right, y, (0.047 * wide, tip_y + 0.010), (0.014, 0.026))
    side = 1.0 if thrown > 0 else -1.0
    shade += (
        abs(thrown) * 9.0 * elliptic_bump(x * side, y, (0.042 * wide, tip_y - 0.05), (0.035, 0.11))
    )
    return clamp(shade)


def _smile_fold_alpha(right: Array, y: Array, factors: Factors, head: Head) -> Array:
    """Return coverage of the folds from nose to mouth, deeper in a smile: [h, w]."""
    top, bottom = head.nose[1] + 0.005, head.lips_y + 0.01
    along = clamp((y - top) * (1.0 / (bottom - top)))
    reach = factors.mouth.width * 1.22 - 0.052
    distance = right - (0.052 + reach * safe_sqrt(along * (2.0 - along)) * along)
    depth = 0.04 + 0.35 * factors.face.age + 0.20 * max(0.0, factors.mouth.smile)
    ends = smoothstep(-0.02, 0.02, y - top) * smoothstep(0.04, -0.02, y - bottom)
    return smoothstep(0.020, 0.0, np.abs(distance)) * ends * depth


def paint_clothing(
    canvas: Canvas, factors: Factors, head: Head, lamp: Lamp, lattice: Array
) -> None:
    """Paint the clothing on the shoulders, below the neckline."""
    area = canvas.window(0.0, head.y + 0.25, 1.0, 1.0)
    if area.is_empty:
        return
    x, y = area.x - neck_x(head), area.y - head.y
    top = shoulder_line(x, factors.clothing) - 0.008
    neckline = _neckline_height(x, factors)
    distance = np.maximum(top - y, neckline - y) * 0.85
    folds = value_noise(lattice, x * 9.0 + y * 5.0, y * 7.0 - x * 3.0)
    rise = np.maximum(1.0 - (y - top) * 6.0, 0.0)  # the cloth turns away over the shoulder
    normal = compute_unit_normal(x * 1.1 + folds * 0.42, folds * 0.30 - 0.75 * rise * rise)
    colour = lamp.shade(factors.clothing.colour, normal, (0.1, 0.1, 0.1))
    weave = 0.03 * pattern_visibility(0.00625, area.pixel)
    if weave:
        colour *= 1.0 + weave * value_noise(lattice, x * 160.0, y * 160.0)
    cloth = coverage_of_distance(distance, area.pixel)
    on_neck = coverage_of_distance(np.abs(x) - factors.clothing.neck * 0.97, area.pixel, 0.02)
    area.multiply((0.70, 0.60, 0.57), smoothstep(0.035, 0.0, distance) * on_neck * 0.6)
    area.blend(colour, cloth)
    hem = smoothstep(0.012, 0.0, np.abs(y - neckline - 0.012) * 0.8) * cloth
    area.multiply((0.78, 0.78, 0.80), hem * smoothstep(0.2, 0.1, np.abs(x)) * 0.5)
    if factors.clothing.style == "collar":
        _paint_collar(area, factors, lamp, (x, y))


def _neckline_height(x: Array, factors: Factors) -> Array:
    """Return the height of the opening for the neck at `x`, below the middle of the head."""
    away = np.abs(x) * (1.0 / (factors.clothing.neck * 1.12))
    level = 0.390
    if factors.clothing.style == "v-neck":
        return level + 0.125 * np.maximum(1.0 - away, 0.0) - 0.3 * np.maximum(away - 1.0, 0.0)
    q = np.maximum(1.0 - away * away, 0.0)
    depth = 0.055 if factors.clothing.style == "crew" else 0.09
    return level + depth * q - 0.3 * np.maximum(away - 1.0, 0.0)


def _paint_collar(area: Canvas, factors: Factors, lamp: Lamp, place: tuple[Array, Array]) -> None:
    x, y = place
    neck = factors.clothing.neck
    right = np.abs(x)
    inner = 0.362 + 0.95 * np.maximum(neck * 1.02 - right, 0.0)  # runs down to the middle
    inner = inner + 0.9 * np.maximum(right - neck, 0.0)
    outer = 0.455 + 0.35 * (neck - right)
    flap = np.maximum(np.maximum(inner - y, y - outer) * 0.7, right - neck * 1.22)
    light = 1.06 - 1.3 * (y - 0.40) + 0.4 * x * lamp.direction[0]
    body = np.maximum(smoothstep(0.01, 0.0, right - neck), smoothstep(0.0, 0.02, y - 0.40))
    shadow = smoothstep(0.022, -0.005, flap) * body
    area.multiply((0.66, 0.66, 0.70), shadow * 0.7)
    colour = light * (colour_to_planes(factors.clothing.colour) * colour_to_planes(lamp.level))
    area.blend(colour, coverage_of_distance(flap, area.pixel))


def paint_background(canvas: Canvas, background: Background) -> None:
    """Paint a gradient and its patches of light over the whole canvas."""
    along = canvas.y + 0.35 * background.slant * (canvas.x - 0.5)
    share = clamp(along)
    for channel, plane in enumerate(canvas.colour):
        first, last = background.top[channel], background.bottom[channel]
        plane[...] = first + (last - first) * share
    for blob in background.blobs:
        reach = blob.radius
        area = canvas.window(blob.x - reach, blob.y - reach, blob.x + reach, blob.y + reach)
        hill = elliptic_bump(area.x, area.y, (blob.x, blob.y), (reach, reach))
        area.blend(blob.colour, hill * blob.strength)
