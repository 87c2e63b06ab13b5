"""Which sizes images can be made to (--size): those that can be halved down to a base."""

import re
from itertools import product

from progan.errors import UserError
from progan.sizes import LONGEST_BASE, MAX_LEVEL, MIN_LEVEL, Size, level_of

SMALLEST = 1 << MIN_LEVEL  # px of the shorter side
LARGEST = (2 * SMALLEST - 1) << (MAX_LEVEL - MIN_LEVEL)
_NUM_NEAREST = 2


def parse_size(text: str) -> Size:
    """'1280x768' -> Size(768, 1280); UserError if it is no size, or none that has a base."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if not match:
        raise UserError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, such as 1280x768.")
    size = Size(height=int(match[2]), width=int(match[1]))
    base_of(size)
    return size


def base_of(size: Size) -> Size:
    """Size at level 2 of images that have `size` at the level of their shorter side.

    Both sides are halved until the shorter one is 4 to 7 px, so that every size has one base and
    one level: 1280x768 is 10x6, doubled seven times.

    Raises:
        UserError: The sides cannot be halved so often; it names the nearest sizes that can.
    """
    halvings = _halvings(size)
    if not SMALLEST <= min(size) <= LARGEST:
        raise UserError(f"--size {size}: the shorter side must be {SMALLEST} to {LARGEST} px.")
    if max(size) > LONGEST_BASE << halvings:
        raise UserError(f"--size {size} is too long: of images with a shorter side of {min(size)} "
                        f"px, the longer one is {LONGEST_BASE << halvings} px at most.")
    if not _halves(size):
        raise UserError(f"--size {size}: both sides must be multiples of {1 << halvings}, so that "
                        f"they can be halved {halvings} times. The nearest sizes are "
                        f"{' and '.join(map(str, nearest_sizes(size)))}.")
    return Size(size.height >> halvings, size.width >> halvings)


def nearest_sizes(size: Size) -> list[Size]:
    """The sizes that can be halved nearest to one that cannot, the nearest first."""
    step = 1 << _halvings(size)
    sides = [(side // step * step, -(-side // step) * step) for side in size]
    rounded = {Size(height, width) for height, width in product(*sides)}
    fitting = [other for other in rounded if _halves(other) and min(other) <= LARGEST
               and max(other) <= LONGEST_BASE << _halvings(other)]
    return sorted(fitting, key=lambda other: (_distance(size, other), other))[:_NUM_NEAREST]


def _halves(size: Size) -> bool:
    return all(side % (1 << _halvings(size)) == 0 for side in size)


def _halvings(size: Size) -> int:
    return max(level_of(min(size)) - MIN_LEVEL, 0)


def _distance(one: Size, other: Size) -> tuple[int, int]:
    """Of the sides in px, and then of the aspect ratios."""
    return (abs(one.height - other.height) + abs(one.width - other.width),
            abs(one.height * other.width - one.width * other.height))
