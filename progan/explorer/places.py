"""Places in latent space that have names: a seed, and then parts of the way to other seeds.

Whoever knows the words can go there again: each step is a spherical interpolation, of which every
machine has the same one.
"""

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from progan.sampling.interpolation import Floats, slerp
from progan.sampling.latents import seed_latents

SEEDS = 2**32  # NumPy has that many
WHOLE = 100  # %
MOST_STEPS = 256  # each takes time to compute; and who would still read such a name?
STEP = re.compile(r"([0-9]{1,3})to([0-9]{1,10})")
START = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Step:
    """A part of the way towards a seed."""

    percent: int  # 0: stays; 100: all the way
    seed: int


@dataclass(frozen=True, slots=True)
class Place:
    """A latent by its name: a seed, and the steps from there."""

    seed: int
    steps: tuple[Step, ...] = ()


def onward(place: Place, seed: int, percent: int) -> Place:
    """A step further; the same place if it is none."""
    return Place(place.seed, (*place.steps, Step(percent, seed % SEEDS))) if percent else place


def back(place: Place) -> Place:
    """Where one was before the last step."""
    return Place(place.seed, place.steps[:-1])


def next_seeds(place: Place, hand: int, count: int) -> tuple[int, ...]:
    """Seeds to go on to: those that follow the last one on the way here.

    So each step opens other directions, and the same way leads to the same ones.

    Args:
        hand: 0: the next `count`; 1: those after them; and so on.
    """
    last = place.steps[-1].seed if place.steps else place.seed
    first = last + 1 + hand * count
    return tuple(seed % SEEDS for seed in range(first, first + count))


def latent_at(place: Place, latent_size: int) -> Tensor:
    """float32 [1, latent_size]: of a seed, exactly what --seeds means."""
    latent = _of_seed(place.seed, latent_size)
    for step in place.steps:
        target = _of_seed(step.seed, latent_size)
        latent = target if step.percent == WHOLE else slerp(latent, target, step.percent / WHOLE)
    return torch.from_numpy(latent[None].astype(np.float32))


def _of_seed(seed: int, latent_size: int) -> Floats:
    """[latent_size]."""
    latent: Floats = seed_latents([seed], latent_size)[0].double().numpy()
    return latent


def in_words(place: Place) -> str:
    """'seed 7', 'seed 7, then 25% of the way to seed 12, 50% to seed 13'."""
    words = [f"{step.percent}% to seed {step.seed}" for step in place.steps]
    if words:
        words[0] = "then " + words[0].replace("% to", "% of the way to")
    return ", ".join([f"seed {place.seed}", *words])


def brief(place: Place) -> str:
    """For addresses: '7', '7,25to12,50to13'."""
    return ",".join([str(place.seed), *(f"{step.percent}to{step.seed}" for step in place.steps)])


def from_brief(text: str) -> Place | None:
    """What `brief` wrote; None for anything else, and for more than MOST_STEPS."""
    if text.count(",") > MOST_STEPS:
        return None
    first, *rest = text.split(",")
    steps = [STEP.fullmatch(part) for part in rest]
    if not START.fullmatch(first) or None in steps:
        return None
    found = Place(int(first), tuple(Step(int(step[1]), int(step[2])) for step in steps if step))
    return found if _exists(found) else None


def _exists(place: Place) -> bool:
    return place.seed < SEEDS and all(0 < step.percent <= WHOLE and step.seed < SEEDS
                                      for step in place.steps)
