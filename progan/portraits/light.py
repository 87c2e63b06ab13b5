"""How surfaces answer the light. Colours are gamma 2: a square is linear, a root is display."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from progan.portraits.factors import Colour, Light
from progan.portraits.shapes import Array, at_least, planes_of, root

WARM: Colour = (1.10, 1.0, 0.84)
COOL: Colour = (0.92, 1.0, 1.12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lamp:
    """The key light and the light of the room, in linear colour."""

    direction: tuple[float, float, float]  # unit vector towards the lamp: right, down, to us
    key: Colour
    room: Colour

    @classmethod
    def of(cls, light: Light) -> Self:
        """The lamp that these factors describe; a surface that faces us is lit to about 1."""
        x, y, z = light.side, -light.height, 0.75
        length = float(np.sqrt(x * x + y * y + z * z))
        # A lamp from the side lights the face that looks at us less: give it more power.
        power = light.exposure * light.contrast * (0.55 * length / z + 0.45)
        fill = light.exposure * (1.08 - light.contrast)
        warm = 0.5 + 0.5 * light.warmth
        key = tuple(power * (c + (w - c) * warm) for c, w in zip(COOL, WARM, strict=True))
        room = tuple(fill * (w + (c - w) * warm) for c, w in zip(COOL, WARM, strict=True))
        return cls(
            direction=(x / length, y / length, z / length),
            key=(key[0], key[1], key[2]),
            room=(room[0], room[1], room[2]),
        )

    @property
    def level(self) -> Colour:
        """Display brightness of a white surface that faces us."""
        red, green, blue = (
            float(np.sqrt(key * self.direction[2] + room))
            for key, room in zip(self.key, self.room, strict=True)
        )
        return red, green, blue

    def shade(
        self, albedo: Array | Colour, normal: tuple[Array, Array, Array], wrap: Colour
    ) -> Array:
        """Display colour [3, h, w] of a matt surface.

        `albedo` is a display colour, one for all or [3, h, w]. `wrap` says per channel how far
        the light creeps past the terminator: red goes farthest under skin, which warms the
        edge of a shadow.
        """
        x, y, z = normal
        facing = x * self.direction[0] + y * self.direction[1] + z * self.direction[2]
        sky = 0.86 - 0.20 * y  # the ceiling is brighter than the floor
        reach = planes_of(wrap)
        lit = at_least(facing + reach, 0.0)
        lit *= planes_of(self.key) / (1.0 + reach)
        lit += planes_of(self.room) * sky
        return root(lit) * (planes_of(albedo) if isinstance(albedo, tuple) else albedo)

    def gloss(self, normal: tuple[Array, Array, Array], doublings: int) -> Array:
        """Highlight 0..1: the half vector's cosine, squared `doublings` times."""
        x, y, z = self.direction
        length = float(np.sqrt(x * x + y * y + (z + 1.0) * (z + 1.0)))
        cosine = (normal[0] * x + normal[1] * y + normal[2] * (z + 1.0)) * (1.0 / length)
        shine = at_least(cosine, 0.0)
        for _ in range(doublings):
            shine = shine * shine
        return shine


def normal_of(slope_x: Array, slope_y: Array) -> tuple[Array, Array, Array]:
    """Unit normal of the surface z(x, y) with these slopes, z towards us."""
    z = 1.0 / root(1.0 + slope_x * slope_x + slope_y * slope_y)
    return -slope_x * z, -slope_y * z, z
