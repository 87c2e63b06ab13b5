"""The state of the page as one immutable value: named latents, class, resolution.

A latent is named by a seed and steps towards other seeds. Each step is a spherical interpolation,
so that the name gives the same latent on every machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import numpy as np
import torch
from torch import Tensor

from progan.sampling.interpolation import Floats, slerp
from progan.sampling.latents import seed_latents

NUM_SEEDS = 2**32  # as many as NumPy has
MAX_PERCENT = 100
MAX_TRUNCATION = 200  # percent; of --trunc, too
MAX_STEPS = 256  # each takes time to compute
STEP = re.compile(r"([0-9]{1,3})to([0-9]{1,10})")
NEIGHBOURS = 8
DEFAULT_STEP_PERCENT = 25  # initial distance of neighbours
NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class PathStep:
    """An interpolation towards a seed."""

    percent: int  # 0: no step; 100: all the way
    seed: int


@dataclass(frozen=True, slots=True)
class NamedLatent:
    """A latent given by a seed and the steps from there."""

    seed: int
    steps: tuple[PathStep, ...] = ()


def add_step(latent: NamedLatent, seed: int, percent: int) -> NamedLatent:
    """Return the latent one step further; the same one for 0 percent."""
    steps = (PathStep(percent, seed % NUM_SEEDS),) if percent else ()
    return NamedLatent(latent.seed, latent.steps + steps)


def drop_last_step(latent: NamedLatent) -> NamedLatent:
    """Return the latent before the last step."""
    return NamedLatent(latent.seed, latent.steps[:-1])


def list_neighbour_seeds(latent: NamedLatent, neighbour_page: int, count: int) -> tuple[int, ...]:
    """Return the seeds of neighbours: those that follow the last seed of the path.

    So each step has other directions, and the same path always the same ones.

    Args:
        neighbour_page: 0: the next `count`; 1: those after them; and so on.
    """
    last = latent.steps[-1].seed if latent.steps else latent.seed
    first = last + 1 + neighbour_page * count
    return tuple(seed % NUM_SEEDS for seed in range(first, first + count))


def compute_latent(latent: NamedLatent, latent_size: int) -> Tensor:
    """Compute a named latent, float32 [1, latent_size]; a bare seed equals that of --seeds."""
    vector = _make_seed_latent(latent.seed, latent_size)
    for step in latent.steps:
        target = _make_seed_latent(step.seed, latent_size)
        share = step.percent / MAX_PERCENT
        vector = target if share == 1 else slerp(vector, target, share)
    return torch.from_numpy(vector[None].astype(np.float32))


def _make_seed_latent(seed: int, latent_size: int) -> Floats:
    latent: Floats = seed_latents([seed], latent_size)[0].double().numpy()
    return latent


def describe_latent(latent: NamedLatent) -> str:
    """Return 'seed 7', or 'seed 7, then 25% of the way to seed 12, 50% to seed 13'."""
    words = [f"{step.percent}% to seed {step.seed}" for step in latent.steps]
    if words:
        words[0] = "then " + words[0].replace("% to", "% of the way to")
    return ", ".join([f"seed {latent.seed}", *words])


def format_latent(latent: NamedLatent) -> str:
    """Return the form for URLs: '7', '7,25to12,50to13'."""
    return ",".join([str(latent.seed), *(f"{step.percent}to{step.seed}" for step in latent.steps)])


def parse_latent(text: str) -> NamedLatent | None:
    """Parse a string of `format_latent`; None for anything else or more than MAX_STEPS."""
    if text.count(",") > MAX_STEPS:
        return None
    first, *rest = text.split(",")
    steps = [STEP.fullmatch(part) for part in rest]
    if not NUMBER.fullmatch(first) or None in steps:
        return None
    path = tuple(PathStep(int(step[1]), int(step[2])) for step in steps if step)
    is_valid = all(0 < step.percent <= MAX_PERCENT and step.seed < NUM_SEEDS for step in path)
    return NamedLatent(int(first), path) if is_valid and int(first) < NUM_SEEDS else None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Everything besides the network that the pixels of an image depend on.

    Attributes:
        class_index: None: the class of the seed, or the network has none.
        level: log2 of the resolution.
        truncation: Psi of --trunc, in percent.
    """

    latent: NamedLatent
    class_index: int | None
    level: int
    truncation: int = MAX_PERCENT


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewState:
    """The state of the page.

    Attributes:
        latent: Start of the slider's interpolation.
        target, percent: The seed that the slider interpolates to, and its value, 0…100.
        neighbour_page: Neighbours that are shown: 0: the first ones, 1: the next ones.
        step_percent: Distance of neighbours, in percent of the way to their seeds.
        class_index, level, truncation: As in ImageSpec.
    """

    latent: NamedLatent
    target: int
    percent: int = 0
    neighbour_page: int = 0
    step_percent: int = DEFAULT_STEP_PERCENT
    class_index: int | None = None
    level: int
    truncation: int = MAX_PERCENT

    @property
    def current_latent(self) -> NamedLatent:
        return add_step(self.latent, self.target, self.percent)

    @property
    def spec(self) -> ImageSpec:
        return ImageSpec(self.current_latent, self.class_index, self.level, self.truncation)

    @property
    def can_step(self) -> bool:
        """True if another step is allowed, after which there is still one for the slider."""
        return len(self.current_latent.steps) + 1 < MAX_STEPS

    @property
    def neighbours(self) -> dict[int, ImageSpec]:
        """Images one step away, by the seeds of the steps; {} if no step is allowed."""
        if not self.can_step:
            return {}
        return {
            seed: replace(self.spec, latent=add_step(self.current_latent, seed, self.step_percent))
            for seed in list_neighbour_seeds(self.current_latent, self.neighbour_page, NEIGHBOURS)
        }


def restart_at_seed(view: ViewState, seed: int) -> ViewState:
    """Show a seed; the slider interpolates to the seed after it."""
    seed %= NUM_SEEDS
    return replace(
        view, latent=NamedLatent(seed), target=(seed + 1) % NUM_SEEDS, percent=0, neighbour_page=0
    )


def set_target_and_reset_page(view: ViewState, target: int) -> ViewState:
    """Let the slider interpolate to another seed, and show the first neighbours again."""
    return replace(view, target=target % NUM_SEEDS, neighbour_page=0)


def move_slider_and_reset_page(view: ViewState, percent: int) -> ViewState:
    """Move the interpolation slider, and show the first neighbours again."""
    return replace(view, percent=percent, neighbour_page=0)


def step_to_neighbour(view: ViewState, seed: int) -> ViewState:
    """Move to a neighbour, if a step is allowed, and reset the slider."""
    if not view.can_step:
        return view
    return replace(
        view,
        latent=add_step(view.current_latent, seed, view.step_percent),
        percent=0,
        neighbour_page=0,
    )


def undo_slider_or_last_step(view: ViewState) -> ViewState:
    """Go one step back: first the slider's, then those to neighbours."""
    if view.percent:
        return replace(view, percent=0, neighbour_page=0)
    return replace(view, latent=drop_last_step(view.latent), neighbour_page=0)


def turn_neighbour_page(view: ViewState) -> ViewState:
    """Show the next neighbours."""
    return replace(view, neighbour_page=view.neighbour_page + 1)


def format_query(spec: ImageSpec) -> str:
    """Return the query of an image's URL: 'at=7,25to12&class=2&level=4&psi=70'."""
    fields = {
        "at": format_latent(spec.latent),
        "class": spec.class_index,
        "level": spec.level,
        "psi": None if spec.truncation == MAX_PERCENT else spec.truncation,
    }
    return urlencode({key: value for key, value in fields.items() if value is not None}, safe=",")


def parse_query(query: Mapping[str, str]) -> ImageSpec | None:
    """Parse a query of `format_query`; None for anything else."""
    latent = parse_latent(query.get("at", ""))
    numbers = {name: query[name] for name in ("level", "class", "psi") if name in query}
    if latent is None or "level" not in numbers or not all(map(NUMBER.fullmatch, numbers.values())):
        return None
    return ImageSpec(
        latent,
        int(numbers["class"]) if "class" in numbers else None,
        int(numbers["level"]),
        int(numbers.get("psi", MAX_PERCENT)),
    )
