"""Levels, resolutions, and sizes of images.

`level` is log2(resolution), so 4x4 is level 2. Images that are not square of a power of two have
another base than 4x4 at level 2, which every level doubles; their levels are still named after the
square: 'resolution 256' is level 8, whatever its size in px.
"""

import re
from itertools import product
from typing import NamedTuple

from progan.errors import UserError

MIN_LEVEL = 2  # 4x4
MAX_LEVEL = 10  # 1024x1024
SHORTEST_SIDE = 1 << MIN_LEVEL  # px of the shorter side of an image
LONGEST_SIDE = (2 * SHORTEST_SIDE - 1) << (MAX_LEVEL - MIN_LEVEL)
LONGEST_BASE = 63  # px, at level 2; 16128 at level 10, and WebP takes 16383


class Size(NamedTuple):
    """Height and width in px; as text with the width first: '192x128'."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def brief(self) -> str:
        """The side of a square, '256', or else both: '192x128'."""
        return str(self.width) if self.height == self.width else str(self)

    @property
    def pixels(self) -> int:
        return self.height * self.width


SQUARE = Size(4, 4)  # the base of images of 2^level x 2^level px


def level_of(resolution: int) -> int:
    """Return log2 of a resolution, or of the shorter side of an image, rounded down."""
    return resolution.bit_length() - 1


def size_at_level(base: Size, level: int) -> Size:
    """Return the size of images at a level, if they have the size `base` at level 2."""
    doublings = level - MIN_LEVEL
    return Size(base.height << doublings, base.width << doublings)


def format_level(base: Size, level: int) -> str:
    """Return the resolution of a level, with its size if that is another: '16', '16 (24x16)'."""
    name = str(1 << level)
    return name if base == SQUARE else f"{name} ({size_at_level(base, level)})"


def format_stage(base: Size, level: int, alpha: float) -> str:
    """Return '128→256 fade 43%' or '192x128 stable', with `alpha` the weight of the level."""
    state = f"fade {100 * alpha:.0f}%" if alpha < 1 else "stable"
    return f"{format_growing_size(base, level, alpha)} {state}"


def format_growing_size(base: Size, level: int, alpha: float) -> str:
    """Return '256', or '128→256' during a fade; '192x128' for images that are not square."""
    size = size_at_level(base, level).brief
    return f"{size_at_level(base, level - 1).brief}→{size}" if alpha < 1 else size


def require_resolution(value: int, name: str) -> None:
    """Raise UserError unless `value` is a power of two from 4 to 1024."""
    if value & (value - 1) or not 2**MIN_LEVEL <= value <= 2**MAX_LEVEL:
        raise UserError(
            f"{name} must be a power of two from {2**MIN_LEVEL} to {2**MAX_LEVEL}, not {value}."
        )


def require_base(base: Size) -> None:
    """Raise UserError unless this can be the size at level 2."""
    shorter, longer = sorted(base)
    if not 2**MIN_LEVEL <= shorter < 2 ** (MIN_LEVEL + 1) or longer > LONGEST_BASE:
        raise UserError(
            f"Images at level {MIN_LEVEL} cannot be {base}: their shorter side must be "
            f"{2**MIN_LEVEL} to {2 ** (MIN_LEVEL + 1) - 1} px, and the longer one "
            f"{LONGEST_BASE} at most."
        )


def parse_size(text: str) -> Size:
    """Parse '1280x768' as Size(768, 1280); UserError if it is not a size that has a base."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match:
        raise UserError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 1280x768.")
    size = Size(height=int(match[2]), width=int(match[1]))
    compute_base_size(size)
    return size


def compute_base_size(size: Size) -> Size:
    """Return the size at level 2 of images that have `size` at the level of their shorter side.

    Both sides are halved until the shorter one is 4 to 7 px, so that every size has one base and
    one level: 1280x768 is 10x6, doubled seven times.

    Raises:
        UserError: The sides cannot be halved so often; it names the nearest sizes that can.
    """
    halvings = _count_halvings(size)
    if not SHORTEST_SIDE <= min(size) <= LONGEST_SIDE:
        raise UserError(
            f"--size {size}: the shorter side must be {SHORTEST_SIDE} to {LONGEST_SIDE} px."
        )
    if max(size) > LONGEST_BASE << halvings:
        raise UserError(
            f"--size {size} is too long: of images with a shorter side of {min(size)} "
            f"px, the longer one is {LONGEST_BASE << halvings} px at most."
        )
    if not _can_be_halved(size):
        raise UserError(
            f"--size {size}: both sides must be multiples of {1 << halvings}, so that "
            f"they can be halved {halvings} times. The nearest sizes are "
            f"{' and '.join(map(str, find_nearest_valid_sizes(size)))}."
        )
    return Size(size.height >> halvings, size.width >> halvings)


def find_nearest_valid_sizes(size: Size) -> list[Size]:
    """Return the two valid sizes nearest to one that cannot be halved often enough."""
    step = 1 << _count_halvings(size)
    sides = [(side // step * step, -(-side // step) * step) for side in size]

    def distance(other: Size) -> tuple[int, int, Size]:
        sides = abs(size.height - other.height) + abs(size.width - other.width)
        return sides, abs(size.height * other.width - size.width * other.height), other

    fitting = [
        other
        for other in {Size(height, width) for height, width in product(*sides)}
        if _can_be_halved(other)
        and min(other) <= LONGEST_SIDE
        and max(other) <= LONGEST_BASE << _count_halvings(other)
    ]
    return sorted(fitting, key=distance)[:2]


def _can_be_halved(size: Size) -> bool:
    """True if both sides can be halved until the shorter one is 4 to 7 px."""
    return all(side % (1 << _count_halvings(size)) == 0 for side in size)


def _count_halvings(size: Size) -> int:
    """Return how often the shorter side can be halved until it is 4 to 7 px."""
    return max(level_of(min(size)) - MIN_LEVEL, 0)
