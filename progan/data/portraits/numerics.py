"""Random numbers, noise, shapes and light whose values are equal on every machine.

Only `+ - * /`, square roots, comparisons and rounding are used: IEEE 754 fixes their results to
the last bit, whereas `exp`, `sin` and `pow` differ between machines. Of NumPy's random numbers,
only the raw words of Philox are used: the streams of `Generator` may change between versions.
"""

from dataclasses import dataclass
from typing import Any, Self, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from progan.data.portraits.factors import Colour, Light

Array: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 throughout

LENS_BLUR = 0.0018  # half the width of the softest edge of a hard shape, in image widths
WARM: Colour = (1.10, 1.0, 0.84)
COOL: Colour = (0.92, 1.0, 1.12)


def colour_to_planes(colour: tuple[float, float, float]) -> Array:
    """Convert a colour to [3, 1, 1], to be broadcast over the pixels."""
    return np.array(colour, dtype=np.float32).reshape(3, 1, 1)


def clamp(x: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """Limit `x` to [low, high]; quicker than `np.clip` on small arrays."""
    return cast(Array, np.minimum(np.maximum(x, low), high))


def safe_sqrt(x: Array) -> Array:
    """Return the square root, 0 for what is negative."""
    return cast(Array, np.sqrt(np.maximum(x, 0.0)))


def smoothstep(start: float, end: float, x: Array) -> Array:
    """Return 0 at `start`, 1 at `end` (which may be the smaller), a cubic between."""
    t = clamp((x - start) * (1.0 / (end - start)))
    return t * t * (3.0 - 2.0 * t)


def coverage_of_distance(distance: Array, pixel: float, softness: float = LENS_BLUR) -> Array:
    """Convert a signed distance, negative inside a shape, to its coverage of pixels, 0..1.

    A hard edge is a ramp of one pixel, which is what a box filter makes of a straight edge: so
    the image at half the resolution is the average of this one.
    """
    if softness <= pixel:
        return clamp(0.5 - distance * (1.0 / pixel))
    return smoothstep(softness, -softness, distance)


def elliptic_bump(
    x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float]
) -> Array:
    """Return a smooth hill: 1 at the centre, 0 from the ellipse of the given radii outwards."""
    u = (x - centre[0]) * (1.0 / radii[0])
    v = (y - centre[1]) * (1.0 / radii[1])
    q = np.maximum(1.0 - u * u - v * v, 0.0)
    return q * q


def ellipse_distance(x: Array, y: Array, radii: tuple[float, float]) -> Array:
    """Return the approximate signed distance to an ellipse round the origin, negative inside."""
    u = x * (1.0 / radii[0])
    v = y * (1.0 / radii[1])
    f = safe_sqrt(u * u + v * v)
    u *= 1.0 / radii[0]
    v *= 1.0 / radii[1]
    return (f - 1.0) * f / (safe_sqrt(u * u + v * v) + 1e-3)


def rounded_box_distance(x: Array, y: Array, half: tuple[float, float], radius: float) -> Array:
    """Return the signed distance to a rounded box round the origin, negative inside."""
    u = np.abs(x) - (half[0] - radius)
    v = np.abs(y) - (half[1] - radius)
    outer = safe_sqrt(np.maximum(u, 0.0) ** 2 + np.maximum(v, 0.0) ** 2)
    return outer + np.minimum(np.maximum(u, v), 0.0) - radius


def pattern_visibility(wavelength: float, pixel: float) -> float:
    """Return the contrast of a pattern: 0 below 2 px per wavelength, 1 from 5 px."""
    t = min(1.0, max(0.0, (wavelength / pixel - 2.0) / 3.0))
    return t * t * (3.0 - 2.0 * t)


def value_noise(lattice: Array, u: Array, v: Array) -> Array:
    """Return smooth noise in -1..1 at (u, v) that repeats; `lattice` is [n, n], n a power of 2."""
    n = lattice.shape[0]
    left, top = np.floor(u), np.floor(v)
    column, row = left.astype(np.int32) & (n - 1), top.astype(np.int32) & (n - 1)
    s, t = u - left, v - top
    s, t = s * s * (3.0 - 2.0 * s), t * t * (3.0 - 2.0 * t)
    here = row * n + column
    right = row * n + ((column + 1) & (n - 1))
    corners = np.concatenate([lattice, lattice[:1]]).ravel()  # so that `+ n` is the row below
    upper = corners.take(here)
    upper += s * (corners.take(right) - upper)
    lower = corners.take(here + n)
    lower += s * (corners.take(right + n) - lower)
    return cast(Array, upper + t * (lower - upper))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """The key light and the ambient light, in linear colour."""

    direction: tuple[float, float, float]  # unit vector towards the lamp: right, down, to us
    key: Colour
    ambient: Colour

    @classmethod
    def from_light(cls, light: Light) -> Self:
        """Return the lamp of these factors; a surface that faces us is lit to about 1."""
        x, y, z = light.side, -light.height, 0.75
        length = float(np.sqrt(x * x + y * y + z * z))
        # A lamp from the side lights the face that looks at us less: give it more power.
        power = light.exposure * light.contrast * (0.55 * length / z + 0.45)
        fill = light.exposure * (1.08 - light.contrast)
        warm = 0.5 + 0.5 * light.warmth
        key = tuple(power * (c + (w - c) * warm) for c, w in zip(COOL, WARM, strict=True))
        ambient = tuple(fill * (w + (c - w) * warm) for c, w in zip(COOL, WARM, strict=True))
        return cls(
            direction=(x / length, y / length, z / length),
            key=(key[0], key[1], key[2]),
            ambient=(ambient[0], ambient[1], ambient[2]),
        )

    @property
    def level(self) -> Colour:
        """Display brightness of a white surface that faces us."""
        red, green, blue = (
            float(np.sqrt(key * self.direction[2] + ambient))
            for key, ambient in zip(self.key, self.ambient, strict=True)
        )
        return red, green, blue

    def shade(
        self, albedo: Array | Colour, normal: tuple[Array, Array, Array], wrap: Colour
    ) -> Array:
        """Return display colours [3, h, w] of a matt surface.

        `albedo` is a display colour, one for all or [3, h, w]. `wrap` says per channel how far
        the light creeps past the terminator: red goes farthest under skin, which warms the
        edge of a shadow.
        """
        x, y, z = normal
        facing = x * self.direction[0] + y * self.direction[1] + z * self.direction[2]
        sky = 0.86 - 0.20 * y  # the ceiling is brighter than the floor
        reach = colour_to_planes(wrap)
        lit = np.maximum(facing + reach, 0.0)
        lit *= colour_to_planes(self.key) / (1.0 + reach)
        lit += colour_to_planes(self.ambient) * sky
        return safe_sqrt(lit) * (colour_to_planes(albedo) if isinstance(albedo, tuple) else albedo)

    def gloss(self, normal: tuple[Array, Array, Array], doublings: int) -> Array:
        """Return the highlight 0..1: the half vector's cosine, squared `doublings` times."""
        x, y, z = self.direction
        length = float(np.sqrt(x * x + y * y + (z + 1.0) * (z + 1.0)))
        cosine = (normal[0] * x + normal[1] * y + normal[2] * (z + 1.0)) * (1.0 / length)
        shine: Array = np.maximum(cosine, 0.0)
        for _ in range(doublings):
            shine = shine * shine
        return shine


def compute_unit_normal(slope_x: Array, slope_y: Array) -> tuple[Array, Array, Array]:
    """Return the unit normal of the surface z(x, y) with these slopes, z towards us."""
    z = 1.0 / safe_sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    return -slope_x * z, -slope_y * z, z


Option = TypeVar("Option")
LATTICE_SIDE = 64
COARSEST_GRAIN = 64  # pixels per side of the first level of the grain
FINEST_GRAIN = 1024  # and of the last


def random_words(key: tuple[int, int], count: int) -> npt.NDArray[np.uint64]:
    """Return the first `count` words of the stream that the two 64-bit numbers of `key` name."""
    return np.random.Philox(key=np.array(key, dtype=np.uint64)).random_raw(count)


def random_bytes(key: tuple[int, int], count: int) -> npt.NDArray[np.uint8]:
    """Return the first `count` bytes of the stream, in little-endian order on every machine."""
    return random_words(key, -(-count // 8)).astype("<u8").view(np.uint8)[:count]


class Rng:
    """Random numbers from the stream of one portrait."""

    __slots__ = ("_words", "_next")

    CAPACITY = 256  # numbers per portrait; about 120 are used

    def __init__(self, key: tuple[int, int]) -> None:
        self._words: list[int] = random_words(key, self.CAPACITY).tolist()
        self._next = 0

    def word(self) -> int:
        """Return a number in 0..2**64-1."""
        self._next += 1
        return self._words[self._next - 1]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number, uniform in [low, high)."""
        return low + (high - low) * (self.word() >> 11) * 2.0**-53

    def bell(self, low: float, high: float) -> float:
        """Return a number, bell-shaped in [low, high): the mean of three uniform numbers."""
        return (self.uniform(low, high) + self.uniform(low, high) + self.uniform(low, high)) / 3

    def bernoulli(self, probability: float) -> bool:
        """Return True with the given probability."""
        return self.uniform() < probability

    def pick(self, weights: dict[Option, float]) -> Option:
        """Return one of the keys with a probability proportional to its weight."""
        left = self.uniform(0.0, sum(weights.values()))
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return option


def make_noise_lattice(texture: int) -> Array:
    """Make noise [64, 64] in -1..1 for `value_noise`."""
    return _uniform_noise(texture, 0, (LATTICE_SIDE, LATTICE_SIDE))


def make_grain(texture: int, resolution: int) -> Array:
    """Make grain [R, R], of the order of 1, for R a power of two from 64; finer is stronger.

    A Haar pyramid: each level adds detail whose 2x2 averages are zero, so the grain at half the
    resolution is exactly the average of this one.
    """
    field = _uniform_noise(texture, 1, (COARSEST_GRAIN, COARSEST_GRAIN)) * np.float32(0.25)
    stream = 2
    while field.shape[0] < resolution:
        field = _double_resolution(field, _uniform_noise(texture, stream, (3, *field.shape)))
        stream += 1
    return field


def _double_resolution(field: Array, detail: Array) -> Array:
    """Return [2n, 2n]: `detail` [3, n, n] holds the Haar coefficients of `field` [n, n]."""
    side = field.shape[0]
    strength = 0.1 + 0.4 * (2 * side / FINEST_GRAIN)  # coarse grain would look like cloth
    across, down, diagonal = detail * np.float32(strength)
    finer = np.empty((side, 2, side, 2), dtype=np.float32)
    finer[:, 0, :, 0] = field + across + down + diagonal
    finer[:, 0, :, 1] = field - across + down - diagonal
    finer[:, 1, :, 0] = field + across - down - diagonal
    finer[:, 1, :, 1] = field - across - down + diagonal
    return finer.reshape(2 * side, 2 * side)


def _uniform_noise(texture: int, stream: int, shape: tuple[int, ...]) -> Array:
    """Make uniform noise in -1..1 from the named stream."""
    raw = random_bytes((texture, stream), int(np.prod(shape))).reshape(shape)
    return raw.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)
