"""Measure images against reals, and, as the baseline, reals against other reals.

Each repeat draws anew; all that it draws derives from the seed and the number of the repeat. The
beginning of the shuffled reals meets the images, and then, for the baseline, their end, so that
no image meets itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from metrics.draws import Draw, Rows
from metrics.sources import Source
from metrics.table import METRICS
from progan.errors import UserError
from progan.runtime.seeding import derive, numpy_generator

PAPER_NUM_IMAGES = 16384
FEWEST_REALS = 4  # two disjoint pairs

Results = dict[str, dict[str, float]]  # metric -> column -> value


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        names: Keys of METRICS.
        num_images: Images, and as many reals.
        num_baseline: Reals on each side of the baseline.
    """

    names: Sequence[str]
    num_images: int
    num_baseline: int
    seed: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: how many images on each side, and the results of each repeat."""

    name: str
    num_images: int
    repeats: list[Results]


def plan_for(images: Source, reals: Source, names: Sequence[str], num_images: int | None,
             *, seed: int, repeats: int) -> Plan:
    """Settle how many images are compared; raises UserError if that cannot be done.

    Without a wish: as many as the baseline can have on both sides, 16384 (the paper's) at most.
    """
    assert reals.count is not None, "reals are counted"
    if reals.count < FEWEST_REALS:
        raise UserError(f"{reals.description} has only {reals.count} images. {FEWEST_REALS} are "
                        "the least, and thousands make a number to trust.")
    half = reals.count // 4 * 2  # even, for the pairs of ms-ssim
    if num_images is None:
        available = half if images.count is None else images.count // 2 * 2
        num_images = min(half, available, PAPER_NUM_IMAGES)
    for source in (images, reals):
        _require_images(source, num_images)
    for name in names:
        METRICS[name].require(images.size, num_images)
    return Plan(names=names, num_images=num_images, num_baseline=min(half, num_images // 2 * 2),
                seed=seed, repeats=repeats)


def evaluate(images: Source, reals: Source, plan: Plan, device: torch.device) -> tuple[Row, Row]:
    """Return the rows 'images against reals' and 'reals against reals'."""
    repeats = [_repeat(images, reals, plan, number, device) for number in range(plan.repeats)]
    return (Row("images against reals", plan.num_images, [first for first, _ in repeats]),
            Row("reals against reals", plan.num_baseline, [second for _, second in repeats]))


def _repeat(images: Source, reals: Source, plan: Plan, number: int,
            device: torch.device) -> tuple[Results, Results]:
    assert reals.count is not None, "reals are counted"
    order = _shuffled(np.arange(reals.count), plan, number, "reals")
    # The reals first: a damaged file among them shows before a network starts to draw.
    beginning = reals.draw(order[:plan.num_images])
    end = reals.draw(order[-plan.num_baseline:])
    drawn = images.draw(_image_rows(images, plan, number))
    return (_measure(drawn, beginning, plan, number, device),
            _measure(end, beginning.first(plan.num_baseline), plan, number, device))


def _measure(images: Draw, reals: Draw, plan: Plan, number: int, device: torch.device) -> Results:
    seed = derive(plan.seed, number)
    return {name: METRICS[name].measure(images, reals, seed=seed, device=device)
            for name in plan.names}


def _image_rows(images: Source, plan: Plan, number: int) -> Rows:
    """A network shows the seeds 0, 1, 2 …, each repeat the next ones; files are drawn from."""
    if images.count is None:
        rows = number * plan.num_images + np.arange(plan.num_images)
    else:
        rows = np.arange(images.count)
    return _shuffled(rows, plan, number, "images")[:plan.num_images]


def _shuffled(rows: Rows, plan: Plan, number: int, role: str) -> Rows:
    """Neighbours, which ms-ssim compares, must be strangers: files are often sorted by class."""
    return numpy_generator(plan.seed, number, role).permutation(rows)


def _require_images(source: Source, num_images: int) -> None:
    if source.count is not None and not 2 <= num_images <= source.count:
        raise UserError(f"{source.description} has {source.count} images, and {num_images} are "
                        f"asked for. Say --num-images {source.count} or less, but 2 at least.")
