"""Hair on the head, and beards."""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from progan.data.portraits.canvas import Canvas, Head
from progan.data.portraits.factors import BeardStyle, Factors, HairStyle
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

SIDEBURN = 0.14  # hair that ends above this height thins out before the ears
HALF_WAY = -0.08  # height in the head where the dome of the hair ends and its sides begin


class HairShape(NamedTuple):
    crown: float  # thickness above the skull
    side: float  # thickness beside it
    end: float  # height at which the hair ends
    hairline: float  # height of the hair above the forehead
    fringe: float = 0.0  # how far hair falls from there
    slant: float = 0.0  # slant of the fringe, or of the curtains beside a parting
    parted: bool = False
    flare: float = 0.0  # widening downwards, per image width
    curl: float = 0.0  # how far curls or waves bend the hair
    curls: float = 26.0  # number of curls per image width
    swept: bool = False  # strands follow the outline instead of falling from the crown
    opacity: float = 1.0


HAIR_SHAPES: dict[HairStyle, HairShape] = {
    "buzz": HairShape(0.012, 0.002, 0.02, -0.235, opacity=0.82),
    "short": HairShape(0.040, 0.010, 0.05, -0.225, curl=0.008, curls=20.0),
    "swept": HairShape(0.060, 0.012, 0.05, -0.235, swept=True, curl=0.016, curls=9.0),
    "fringe": HairShape(
        0.050, 0.030, 0.13, -0.225, fringe=0.085, slant=0.18, curl=0.010, curls=12.0
    ),
    "bob": HairShape(
        0.050, 0.055, 0.30, -0.225, slant=0.50, parted=True, flare=0.15, curl=0.012, curls=6.0
    ),
    "long": HairShape(
        0.048, 0.048, 0.95, -0.230, slant=0.55, parted=True, flare=0.16, curl=0.018, curls=6.0
    ),
    "curly": HairShape(0.060, 0.072, 0.36, -0.225, flare=0.18, curl=0.022),
    "afro": HairShape(0.105, 0.105, 0.16, -0.225, curl=0.016),
    "tied": HairShape(0.026, 0.006, 0.04, -0.235, swept=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HairVolume:
    """The hair evaluated on the part of a canvas that it reaches; arrays are [h, w]."""

    area: Canvas
    h: Array  # 0 in the middle, 1 on the outline
    slope: tuple[Array, Array]  # dh/dx, dh/dy
    meridian: Array  # -1..1 across the strands that fall from the crown
    strands: Array  # -1..1, the relief of the strands

    @classmethod
    def build(
        cls, canvas: Canvas, factors: Factors, head: Head, cut: HairShape, lattice: Array
    ) -> Self:
        """Evaluate the hair of this cut on the part of the canvas that it reaches."""
        canvas = _select_hair_window(canvas, factors, head, cut)
        volume = factors.hair.volume
        width = head.width + cut.side * volume
        top = head.height + cut.crown * volume + HALF_WAY
        length = cut.end + factors.hair.length - HALF_WAY
        x = canvas.head_x + 0.06 * head.yaw[1]  # the skull reaches back, away from the turn
        y = canvas.head_y - HALF_WAY
        if cut.curl:
            x, y = _bend_by_noise(x, y, cut, volume, lattice)
        high, low = np.minimum(y, 0.0) * (1.0 / top), np.maximum(y, 0.0)
        wide = width * (1.0 + cut.flare * low)
        u, t = x / wide, low * (1.0 / length)
        t3 = t * t * t
        edge = high * high + t3 * t
        meridian = clamp(u / safe_sqrt(np.maximum(1.0 - edge, 0.10)), -1.5, 1.5)
        if cut.parted:
            meridian = meridian - factors.hair.part / width
        h = u * u + edge
        slope = (2.0 * u / wide, 2.0 * high * (1.0 / top) + 4.0 * t3 * (1.0 / length))
        strands = _strand_relief(canvas, cut, (h, meridian), lattice)
        return cls(area=canvas, h=h, slope=slope, meridian=meridian, strands=strands)

    def distance(self) -> Array:
        """Return the signed distance to the outline, to first order, negative inside."""
        g = safe_sqrt(self.h)
        fx, fy = self.slope
        return (g - 1.0) * 2.0 * g / (safe_sqrt(fx * fx + fy * fy) + 1e-2)


def paint_hair_behind(
    canvas: Canvas, factors: Factors, head: Head, hair: HairVolume | None
) -> None:
    """Paint the hair behind neck and ears, in shadow."""
    if factors.hair.style == "tied":
        _paint_bun(canvas, factors, head)
    if hair is None or HAIR_SHAPES[factors.hair.style].opacity < 1.0:
        return  # where hair is thin, the scalp shows and not more hair
    light = 0.50 + 0.10 * hair.strands
    alpha = coverage_of_distance(hair.distance() + 0.006, canvas.pixel, 0.006)
    hair.area.blend(light * colour_to_planes(factors.hair.colour), alpha)


def paint_hair(factors: Factors, head: Head, lamp: Lamp, hair: HairVolume | None) -> None:
    """Paint the hair around the face, and its shadow on the forehead."""
    if hair is None:
        return
    canvas, cut = hair.area, HAIR_SHAPES[factors.hair.style]
    opening = _face_opening_distance(canvas, factors, head, cut, hair)
    skin = coverage_of_distance(canvas.f - 1.0, canvas.pixel * 4.0)
    near = smoothstep(0.045, 0.0, hair.distance())  # no shadow where the hair has ended
    shadow = smoothstep(-0.050, 0.006, opening - 0.010 * lamp.direction[1]) * skin * near
    canvas.multiply((0.60, 0.48, 0.45), shadow * (0.55 * cut.opacity))
    soft = 0.022 if cut.opacity < 1.0 else (0.006 if cut.parted or cut.fringe else 0.013)
    alpha = coverage_of_distance(hair.distance(), canvas.pixel, 0.006) * coverage_of_distance(
        -opening, canvas.pixel, soft
    )
    if cut.end < SIDEBURN:
        alpha *= smoothstep(0.05, -0.06, canvas.head_y - cut.end - 0.02 * hair.strands)
    canvas.blend(_hair_colour(factors, lamp, cut, hair, opening), alpha * cut.opacity)


def build_hair_volume(
    canvas: Canvas, factors: Factors, head: Head, lattice: Array
) -> HairVolume | None:
    """Build the volume of the hair, or None without hair."""
    if factors.hair.style == "bald":
        return None
    hair = HairVolume.build(canvas, factors, head, HAIR_SHAPES[factors.hair.style], lattice)
    return None if hair.area.is_empty else hair


def _select_hair_window(canvas: Canvas, factors: Factors, head: Head, cut: HairShape) -> Canvas:
    """Return the window of the canvas that holds all the hair, however the head leans."""
    end = cut.end + factors.hair.length
    wide = (head.width + cut.side * factors.hair.volume) * (1.0 + cut.flare * (end - HALF_WAY))
    high = head.height + cut.crown * factors.hair.volume
    lean = abs(head.roll[1])
    side = wide + cut.curl + 0.06 * abs(head.yaw[1]) + 0.06 + lean * max(end, high)
    above, below = high + cut.curl + 0.02, end + cut.curl + 0.05 + lean * wide
    return canvas.window(head.x - side, head.y - above, head.x + side, head.y + below)


def _bend_by_noise(
    x: Array, y: Array, cut: HairShape, volume: float, lattice: Array
) -> tuple[Array, Array]:
    """Return coordinates bent by noise, so that hair waves and its outline breaks into curls."""
    reach, often = cut.curl * volume, cut.curls
    bend = value_noise(lattice, x * often, y * often) * reach
    other = value_noise(lattice, x * often + 31.0, y * often + 17.0) * reach
    return x + bend, y + other


def _strand_relief(
    canvas: Canvas, cut: HairShape, place: tuple[Array, Array], lattice: Array
) -> Array:
    """Return the relief of the strands: noise that is long along them and narrow across."""
    h, meridian = place
    x, y = canvas.head_x, canvas.head_y
    if cut.curls > 20.0 and cut.curl:
        coarse = value_noise(lattice, x * 34.0, y * 34.0)
        fineness = 0.5 * pattern_visibility(0.011, canvas.pixel)
        if not fineness:
            return 0.6 * coarse
        return 0.6 * coarse + fineness * value_noise(lattice, x * 90.0 + coarse, y * 90.0)
    across = safe_sqrt(h) * 0.26 if cut.swept else meridian * 0.30
    along = y * 4.0 + x * 2.0
    total = 0.42 * value_noise(lattice, across * 60.0, along)
    for frequency, weight in ((140.0, 0.42), (330.0, 0.38), (720.0, 0.25)):
        visible = weight * pattern_visibility(1.0 / frequency, canvas.pixel)
        if visible > 0.0:
            total = total + visible * value_noise(lattice, across * frequency, along * 1.7 + 5.0)
    return total


def _face_opening_distance(
    canvas: Canvas, factors: Factors, head: Head, cut: HairShape, hair: HairVolume
) -> Array:
    """Return the signed distance to the part that the hair leaves free, negative inside."""
    x, y = canvas.face_x, canvas.face_y
    middle = 0.06
    height = middle - (cut.hairline + factors.hair.hairline)
    half = head.width * (0.93 if cut.side < 0.02 else 0.885)
    half_here = half * (1.0 + 0.35 * np.maximum(y - middle, 0.0))
    above = np.minimum(y - middle, 0.0) * (1.0 / height)
    u = x / half_here
    g = safe_sqrt(u * u + above * above * (0.35 + 0.65 * above * above))
    free = (g - 1.0) * (0.5 * (half + height))
    if cut.fringe:
        line = cut.hairline + factors.hair.hairline + cut.fringe
        side = 1.0 if factors.hair.part > 0 else -1.0
        edge = line + cut.slant * side * x + 0.018 * hair.strands
        fringe: Array = np.maximum(free, (edge - y) * 0.9)
        return fringe
    if cut.parted:
        away = np.abs(x - factors.hair.part)
        edge = cut.hairline + factors.hair.hairline + cut.slant * away * (0.5 + 2.5 * away)
        curtains: Array = np.maximum(free, (edge - y) * 0.85) + 0.005 * hair.strands
        return curtains
    return free + 0.012 * hair.strands


def _hair_colour(
    factors: Factors, lamp: Lamp, cut: HairShape, hair: HairVolume, opening: Array
) -> Array:
    """Return display colours [3, h, w]: a round volume, strands, a sheen, dark roots."""
    steep = -0.10 / safe_sqrt(np.maximum(1.0 - hair.h, 0.05))
    curly = cut.curl > 0.0 and cut.curls > 20.0
    relief = 0.45 if curly else 0.25
    slope_x = hair.slope[0] * steep + relief * hair.strands
    slope_y = hair.slope[1] * steep + 0.5 * relief * hair.strands
    normal = compute_unit_normal(slope_x, slope_y)
    colour = lamp.shade(factors.hair.colour, normal, (0.15, 0.15, 0.15))
    dark: Array
    if cut.parted:
        dark = 0.30 * smoothstep(0.13, 0.0, np.abs(hair.meridian))
    else:
        dark = 0.25 * smoothstep(0.030, 0.0, opening)
    colour *= (0.94 + 0.36 * hair.strands) * (1.0 - dark)
    # A strand is a thin cylinder: it glints where it lies square to the half vector.
    ny = hair.slope[1] * steep
    off = ny - 0.85 - 0.3 * lamp.direction[1] + 0.30 * hair.strands
    sheen = clamp(1.0 - 4.0 * off * off)
    side = 1.0 - 0.6 * clamp(hair.meridian - 1.2 * lamp.direction[0], -1.0, 1.0) ** 2
    strength = 0.08 if curly else 0.26
    sheen = sheen * sheen * side * (strength * (0.75 + 0.6 * hair.strands))
    colour += sheen * (1.0 - colour) * _sheen_colour(factors)
    return colour


def _sheen_colour(factors: Factors) -> Array:
    """Return the colour of the highlight on the hair."""
    return colour_to_planes(factors.hair.colour) * 0.7 + 0.22


def _paint_bun(canvas: Canvas, factors: Factors, head: Head) -> None:
    """Paint the knot of tied hair behind the head."""
    middle_x, middle_y = 0.2 * factors.hair.part - 0.16 * head.yaw[1], -head.height - 0.035
    area = canvas.window_around(head.to_image(middle_x, middle_y), 0.12, 0.10)
    if area.is_empty:
        return
    x, y = area.head_x - middle_x, area.head_y - middle_y
    knot = coverage_of_distance(ellipse_distance(x, y, (0.095, 0.070)), area.pixel, 0.006)
    light = 0.62 + 0.35 * elliptic_bump(x, y, (0.0, -0.02), (0.09, 0.06))
    area.blend(light * colour_to_planes(factors.hair.colour), knot)


class BeardCoverage(NamedTuple):
    """Density of the beard on the parts of the face, 0..1."""

    lip: float  # moustache
    chin: float
    jaw: float  # jaw and cheeks


BEARD_COVERAGES: dict[BeardStyle, BeardCoverage] = {
    "none": BeardCoverage(0.0, 0.0, 0.0),
    "stubble": BeardCoverage(0.38, 0.40, 0.36),
    "moustache": BeardCoverage(0.92, 0.0, 0.0),
    "goatee": BeardCoverage(0.85, 0.92, 0.0),
    "full": BeardCoverage(0.90, 0.95, 0.92),
}


def paint_beard(canvas: Canvas, factors: Factors, head: Head, lattice: Array) -> None:
    """Paint the beard; before the mouth, so that the lips stay free."""
    growth = BEARD_COVERAGES[factors.beard.style]
    if not any(growth):
        return
    area = canvas.window(head.x - 0.36, head.y - 0.05, head.x + 0.36, head.y + 0.46)
    if area.is_empty:
        return
    alpha = _beard_alpha(area, factors, head, growth) * (0.55 + 0.45 * factors.beard.density)
    fineness = pattern_visibility(0.009, area.pixel)
    hairs = fineness * value_noise(lattice, area.face_x * 120.0, area.face_y * 45.0)
    clumps = value_noise(lattice, area.face_x * 30.0 + 9.0, area.face_y * 18.0)
    light: Array = 1.0 + 0.28 * hairs + 0.14 * clumps + 0.5 * factors.light.side * area.head_x
    light = light - 0.9 * np.maximum(area.face_y - head.lips_y - 0.08, 0.0)
    alpha *= 1.0 + 0.22 * hairs + 0.10 * clumps
    area.blend(light * colour_to_planes(factors.beard.colour), clamp(alpha))


def _beard_alpha(area: Canvas, factors: Factors, head: Head, growth: BeardCoverage) -> Array:
    """Return the coverage of the beard: [h, w]."""
    x, y = area.face_x, area.face_y
    right, lips, wide = np.abs(x), head.lips_y, factors.mouth.width
    middle = lips - 0.048 + 0.25 * np.maximum(right - 0.012, 0.0)  # falls round the mouth
    lip = coverage_of_distance(np.abs(y - middle) - 0.015, area.pixel, 0.014) * smoothstep(
        1.22, 0.95, right / wide
    )
    chin = elliptic_bump(x, y, (0.0, lips + 0.105), (0.115, 0.115))
    chin = smoothstep(0.0, 0.30, chin) * smoothstep(0.035, 0.06, y - lips)
    cheek_line: Array = lips - 0.035 - 0.9 * np.maximum(right - 0.10, 0.0)
    cheek_line = cheek_line + 0.5 * np.maximum(0.10 - right, 0.0)
    jaw: Array = smoothstep(0.0, 0.06, y - cheek_line) * smoothstep(0.6, 1.05, right / wide)
    jaw = np.maximum(jaw, smoothstep(0.05, 0.10, y - lips))
    skin = coverage_of_distance(safe_sqrt(area.f) - 1.02, area.pixel * 3.0, 0.015)
    grown: Array = np.maximum(np.maximum(lip * growth.lip, chin * growth.chin), jaw * growth.jaw)
    return grown * skin
