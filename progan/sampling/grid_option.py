"""--grid, read without importing torch."""

import re

from progan.errors import UserError


def parse_grid(text: str, count: int) -> tuple[int, int]:
    """'8x4' -> (8, 4), columns and rows, if that many images fit."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not int(match[1]) * int(match[2]):
        raise UserError(f"--grid {text!r} is not COLSxROWS such as 8x4.")
    columns, rows = int(match[1]), int(match[2])
    if columns * rows < count:
        plural = "s" * (columns * rows > 1)
        raise UserError(f"--grid {text} has {columns * rows} cell{plural}, too few for {count} "
                        "pictures.")
    return columns, rows
