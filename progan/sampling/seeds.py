"""Lists of seeds as people write them; nothing heavy is needed to refuse one."""

import re

from progan.errors import UserError

MOST_SEEDS = 1_000_000


def parse_seeds(text: str) -> list[int]:
    """'0-3,7' -> [0, 1, 2, 3, 7]; raises UserError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)(?:\s*-\s*([0-9]+))?\s*", part)
        if not match:
            raise UserError(f"--seeds {text!r} is not a list of seeds such as 0-15,20.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= 2**32:
            raise UserError(f"--seeds {part.strip()}: ranges run upwards, to {2**32 - 1} at most.")
        if len(seeds) + last - first >= MOST_SEEDS:
            raise UserError(f"--seeds {text} names more than {MOST_SEEDS:,} pictures. Draw them in "
                            "several calls.")
        seeds.extend(range(first, last + 1))
    return seeds
