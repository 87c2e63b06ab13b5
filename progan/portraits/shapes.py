"""Arithmetic of shapes on arrays: distances, soft edges, bumps and value noise.

Only `+ - * /`, square roots, comparisons and rounding are used: IEEE 754 fixes their results to
the last bit, whereas `exp`, `sin` and `pow` differ between machines.
"""

from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 throughout

LENS_BLUR = 0.0018  # half the width of the softest edge of a hard shape, in picture widths


def planes_of(colour: tuple[float, float, float]) -> Array:
    """[3, 1, 1], to be broadcast over the pixels."""
    return np.array(colour, dtype=np.float32).reshape(3, 1, 1)


def clamp(x: Array, low: float = 0.0, high: float = 1.0) -> Array:
    """`x` limited to [low, high]; quicker than `np.clip` on small arrays."""
    return cast(Array, np.minimum(np.maximum(x, low), high))


def at_least(x: Array, low: float | Array) -> Array:
    """The larger of the two, element by element: the intersection of two distances."""
    return cast(Array, np.maximum(x, low))


def at_most(x: Array, high: float | Array) -> Array:
    """The smaller of the two, element by element: the union of two distances."""
    return cast(Array, np.minimum(x, high))


def root(x: Array) -> Array:
    """Square root, 0 for what is negative."""
    return cast(Array, np.sqrt(np.maximum(x, 0.0)))


def smooth(start: float, end: float, x: Array) -> Array:
    """0 at `start`, 1 at `end` (which may be the smaller), a cubic between."""
    t = clamp((x - start) * (1.0 / (end - start)))
    return t * t * (3.0 - 2.0 * t)


def inside(distance: Array, pixel: float, softness: float = LENS_BLUR) -> Array:
    """Coverage 0..1 of a shape of which `distance` is the signed distance, negative inside.

    A hard edge is a ramp of one pixel, which is what a box filter makes of a straight edge: so
    the picture at half the resolution is the average of this one.
    """
    if softness <= pixel:
        return clamp(0.5 - distance * (1.0 / pixel))
    return smooth(softness, -softness, distance)


def bump(x: Array, y: Array, centre: tuple[float, float], radii: tuple[float, float]) -> Array:
    """A smooth hill, 1 at the centre, 0 from the ellipse of the given radii outwards."""
    u = (x - centre[0]) * (1.0 / radii[0])
    v = (y - centre[1]) * (1.0 / radii[1])
    q = at_least(1.0 - u * u - v * v, 0.0)
    return q * q


def ellipse(x: Array, y: Array, radii: tuple[float, float]) -> Array:
    """Approximate signed distance to an ellipse round the origin."""
    u = x * (1.0 / radii[0])
    v = y * (1.0 / radii[1])
    f = root(u * u + v * v)
    u *= 1.0 / radii[0]
    v *= 1.0 / radii[1]
    return (f - 1.0) * f / (root(u * u + v * v) + 1e-3)


def rounded_box(x: Array, y: Array, half: tuple[float, float], radius: float) -> Array:
    """Signed distance to a box round the origin with rounded corners."""
    u = np.abs(x) - (half[0] - radius)
    v = np.abs(y) - (half[1] - radius)
    outer = root(at_least(u, 0.0) ** 2 + at_least(v, 0.0) ** 2)
    return outer + at_most(at_least(u, v), 0.0) - radius


def resolved(wavelength: float, pixel: float) -> float:
    """How much of a pattern of this wavelength the pixels can show: 0 below two, 1 from five."""
    t = min(1.0, max(0.0, (wavelength / pixel - 2.0) / 3.0))
    return t * t * (3.0 - 2.0 * t)


def value_noise(lattice: Array, u: Array, v: Array) -> Array:
    """Smooth noise in -1..1 that repeats: `lattice` [n, n], n a power of two, at integer u, v."""
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
