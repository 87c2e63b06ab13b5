"""What people type into fields for numbers."""

import math


def whole(value: object, least: int | None = None, most: int | None = None) -> int | None:
    """The nearest whole number from `least` to `most`; None if it is no number (yet)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    number = round(value)
    number = number if least is None else max(number, least)
    return number if most is None else min(number, most)
