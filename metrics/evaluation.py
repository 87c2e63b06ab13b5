"""Measure images against reals, and, as the baseline, reals against other reals.

Each repeat draws anew; all that it draws derives from the seed and the number of the repeat. The
beginning of the shuffled reals meets the images, and then, for the baseline, their end, so that
no image meets itself. Of a dataset with a hold-out, the images meet what was trained on, and the
baseline is what was held out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metrics.draws import Draw, Rows
from metrics.setup import Setup
from metrics.sources import Source, require_alike
from metrics.table import METRICS
from progan.errors import UserError
from progan.runtime.seeding import derive, numpy_generator
from progan.runtime.text import format_count, pluralize

PAPER_NUM_IMAGES = 16384
FEWEST_REALS = 4  # two disjoint pairs
BASELINE = "reals against reals"

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
    repeats: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: how many images on each side, and the results of each repeat."""

    name: str
    num_images: int
    repeats: list[Results]


def plan_for(images: Source, reals: Source, names: Sequence[str], num_images: int | None,
             *, repeats: int) -> Plan:
    """Settle how many images are compared; raises UserError if that cannot be done.

    Without a wish: as many as the baseline can have on both sides, 16384 (the paper's) at most.
    """
    assert reals.count is not None, "reals are counted"
    trained, held_out = len(reals.trained_on), len(reals.held_out)
    if reals.count < FEWEST_REALS or trained < 2 or held_out == 1:
        raise UserError(f"{reals.description} has only {_counted(reals)}. {FEWEST_REALS} are "
                        "the least, and thousands make a number to trust.")
    most = (min(trained, held_out) if held_out else trained // 2) // 2 * 2  # even, for pairs
    if num_images is None:
        available = most if images.count is None else images.count // 2 * 2
        num_images = min(most, available, PAPER_NUM_IMAGES)
    _require_images(images, num_images, images.count)
    _require_images(reals, num_images, trained)
    num_baseline = min(most, num_images // 2 * 2)
    for name in names:
        METRICS[name].require(images.size, num_images)
        METRICS[name].require(images.size, num_baseline)
    return Plan(names=names, num_images=num_images, num_baseline=num_baseline, repeats=repeats)


def evaluate(
    images: Mapping[str, Callable[[], Source]], reals: Source, plan: Plan, setup: Setup
) -> Iterator[Row]:
    """Yield a row for each source of images by its name, and at last the baseline.

    Args:
        images: Each is opened in its turn, so that many networks need no more memory than one.
    """
    # The reals first: a damaged file among them shows before a network starts to draw.
    pairs = [_reals(reals, plan, setup, number) for number in range(plan.repeats)]
    setups = [replace(setup, seed=derive(setup.seed, number)) for number in range(plan.repeats)]
    for name, opened in images.items():
        source = opened()
        require_alike(source, reals)
        yield Row(name, plan.num_images, [
            _measure(source.draw(_image_rows(source, plan, setup, number)), first, plan, each)
            for number, ((first, _), each) in enumerate(zip(pairs, setups, strict=True))])
    yield Row(BASELINE, plan.num_baseline, [
        _baseline(first.first(plan.num_baseline), other, plan, each)
        for (first, other), each in zip(pairs, setups, strict=True)])


def _reals(reals: Source, plan: Plan, setup: Setup, number: int) -> tuple[Draw, Draw]:
    """The reals that meet the images, and those of the baseline."""
    order = _shuffled(reals.trained_on, setup, number, "reals")
    held_out = _shuffled(reals.held_out, setup, number, "held-out")
    others = held_out[:plan.num_baseline] if held_out.size else order[-plan.num_baseline:]
    return reals.draw(order[:plan.num_images]), reals.draw(others)


def _measure(images: Draw, reals: Draw, plan: Plan, setup: Setup) -> Results:
    return {name: METRICS[name].measure(images, reals, setup) for name in plan.names}


def _baseline(reals: Draw, others: Draw, plan: Plan, setup: Setup) -> Results:
    """The same, kept with the statistics of the reals: it is the same for every network."""
    detector = setup.detector.fingerprint if setup.detector else ""
    against = f"against {reals.rows.tolist()} seed {setup.seed}"

    def kept(name: str) -> dict[str, float]:
        means = detector * METRICS[name].needs_detector
        stored = others.kept(f"{name} {means} {against}", lambda: {
            column: np.array(value) for column, value
            in METRICS[name].measure(others, reals, setup).items()})
        return {column: float(value) for column, value in stored.items()}

    return {name: kept(name) for name in plan.names}


def _image_rows(images: Source, plan: Plan, setup: Setup, number: int) -> Rows:
    """A network shows the seeds 0, 1, 2 …, each repeat the next ones; files are drawn from."""
    if images.count is None:
        rows = number * plan.num_images + np.arange(plan.num_images)
    else:
        rows = np.arange(images.count)
    return _shuffled(rows, setup, number, "images")[:plan.num_images]


def _shuffled(rows: Rows, setup: Setup, number: int, role: str) -> Rows:
    """Neighbours, which ms-ssim compares, must be strangers: files are often sorted by class."""
    return numpy_generator(setup.seed, number, role).permutation(rows)


def _require_images(source: Source, num_images: int, count: int | None) -> None:
    if count is not None and not 2 <= num_images <= count:
        advice = f"Ask for 2 to {count}" if count > 2 else "Ask for 2" if count == 2 else (
            "Name a source of more")
        raise UserError(f"{source.description} has {_counted(source)}, and {num_images} "
                        f"{pluralize(num_images, 'is', 'are')} asked for. {advice}.")


def _counted(source: Source) -> str:
    held_out = len(source.held_out)
    others = f", and {format_count(held_out, 'other')} for the baseline" if held_out else ""
    return f"{format_count(len(source.trained_on), 'image')}{others}"
