"""What older state files lack, as one function for each step from a format version to the next."""

from collections.abc import Callable
from typing import Any

Content = dict[str, Any]

FORMAT_VERSION = 2


def migrated(content: Content) -> Content:
    """Bring what a state file holds to the present version; raises KeyError if there is no way."""
    while content["version"] != FORMAT_VERSION:
        content = MIGRATIONS[content["version"]](content) | {"version": content["version"] + 1}
    return content


def with_the_place_in_round_and_tick(content: Content) -> Content:
    """1 -> 2: states were saved between rounds only, and forgot the sums of an unfinished tick.

    The oldest of them are older than dials.
    """
    return {"dials": {}, **content, "round_images_seen": content["images_seen"], "rollbacks": 0,
            "tally": {"sums": {}, "counts": {}}}


MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: with_the_place_in_round_and_tick}
