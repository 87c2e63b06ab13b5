"""What the page shows, as one value, and how it changes. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from progan.explorer.places import (
    MOST_STEPS,
    SEEDS,
    Place,
    back,
    brief,
    from_brief,
    next_seeds,
    onward,
)

NEIGHBOURS = 8
FAR = 25  # %; how far away neighbours are at first
NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Sight:
    """One picture: all that its pixels depend on, beside the network.

    Attributes:
        kind: Index of its class; None: the class of its seed, or the network has none.
        level: log2 of its resolution.
    """

    place: Place
    kind: int | None
    level: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The state of the page.

    Attributes:
        place: Where one is, but for the way that the slider goes.
        target, percent: The seed that the slider leads to, and how far it is pushed, 0…100.
        hand: Which neighbours: 0: the first ones, 1: the next ones.
        far: How far away neighbours are, in percent of the way to their seeds.
        kind, level: As of Sight.
    """

    place: Place
    target: int
    percent: int = 0
    hand: int = 0
    far: int = FAR
    kind: int | None = None
    level: int

    @property
    def here(self) -> Place:
        return onward(self.place, self.target, self.percent)

    @property
    def sight(self) -> Sight:
        return Sight(self.here, self.kind, self.level)

    @property
    def leads_on(self) -> bool:
        """Whether there may be a step more, after which there is still one for the slider."""
        return len(self.here.steps) + 1 < MOST_STEPS

    @property
    def neighbours(self) -> dict[int, Sight]:
        """By the seeds to which they are a step; none where no step leads on."""
        if not self.leads_on:
            return {}
        return {seed: Sight(onward(self.here, seed, self.far), self.kind, self.level)
                for seed in next_seeds(self.here, self.hand, NEIGHBOURS)}


def at_seed(look: Look, seed: int) -> Look:
    """Begin anew; the slider leads to the seed after it."""
    seed %= SEEDS
    return replace(look, place=Place(seed), target=(seed + 1) % SEEDS, percent=0, hand=0)


def aimed(look: Look, target: int) -> Look:
    """The slider leads to another seed."""
    return replace(look, target=target % SEEDS, hand=0)


def pushed(look: Look, percent: int) -> Look:
    """So much of the way that the slider goes."""
    return replace(look, percent=percent, hand=0)


def stepped(look: Look, seed: int) -> Look:
    """At a neighbour, if a step leads there; the slider leads on from there."""
    if not look.leads_on:
        return look
    return replace(look, place=onward(look.here, seed, look.far), percent=0, hand=0)


def returned(look: Look) -> Look:
    """One step back: first the slider's, then those of neighbours."""
    if look.percent:
        return replace(look, percent=0, hand=0)
    return replace(look, place=back(look.place), hand=0)


def on_to_others(look: Look) -> Look:
    """Other neighbours."""
    return replace(look, hand=look.hand + 1)


def address(sight: Sight) -> str:
    """'at=7,25to12&class=2&level=4'."""
    words = {"at": brief(sight.place), "class": sight.kind, "level": sight.level}
    return urlencode({key: value for key, value in words.items() if value is not None}, safe=",")


def from_address(query: Mapping[str, str]) -> Sight | None:
    """What `address` wrote; None for anything else."""
    place = from_brief(query.get("at", ""))
    numbers = [query.get("level", ""), *([query["class"]] if "class" in query else [])]
    if place is None or not all(map(NUMBER.fullmatch, numbers)):
        return None
    level, *kind = map(int, numbers)
    return Sight(place, kind[0] if kind else None, level)
