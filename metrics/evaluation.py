"""All metrics by name; measure images against reals, and the baseline; results as text and JSON.

Each repeat samples anew, from the seed and the number of the repeat. The images are compared with
the beginning of the shuffled reals, which for the baseline is compared with their end, so that no
image meets itself. Of a dataset with a hold-out, the images are compared with training images, and
the baseline is what was held out.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from metrics import discrete_modes, fidelity, ms_ssim, swd
from metrics.detector import Setup
from metrics.samples import ImageSample, Rows, Size
from metrics.sources import Source, require_alike
from progan import __version__
from progan.errors import UserError
from progan.runtime.seeding import derive_seed, numpy_generator
from progan.runtime.text import format_count, pluralize

PAPER_NUM_IMAGES = 16384
FEWEST_REALS = 4  # two disjoint pairs
BASELINE = "reals against reals"
Results = dict[str, dict[str, float]]  # metric -> column -> value


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the images that it takes.

    Attributes:
        measure: As many images as reals, of one size, and the setup -> values by column name.
        require: Raises UserError unless it can measure that many images of that size.
        digits: Decimal places worth printing; None: four digits, of what a detector scales.
        needs_detector: It compares features, or classes.
        require_detector: Raises UserError if the detector of the setup makes nothing it can use.
    """

    measure: Callable[[ImageSample, ImageSample, Setup], dict[str, float]]
    require: Callable[[Size, int], None]
    digits: int | None
    needs_detector: bool = False
    require_detector: Callable[[Setup], None] = lambda setup: None


METRICS = {
    "swd": Metric(swd.measure, swd.require, digits=2),
    "ms-ssim": Metric(ms_ssim.measure, ms_ssim.require, digits=4),
    "fid": Metric(fidelity.fid, fidelity.require, digits=None, needs_detector=True),
    "kid": Metric(fidelity.kid, fidelity.require, digits=None, needs_detector=True),
    "kid75": Metric(fidelity.kid75, fidelity.require, digits=None, needs_detector=True),
    "is": Metric(fidelity.inception_score, fidelity.require, digits=3, needs_detector=True),
    "pr": Metric(fidelity.precision_recall, fidelity.require, digits=4, needs_detector=True),
    "discrete-modes": Metric(
        discrete_modes.measure,
        discrete_modes.require,
        digits=None,
        needs_detector=True,
        require_detector=discrete_modes.require_detector,
    ),
}


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


def plan_for(
    images: Source, reals: Source, names: Sequence[str], num_images: int | None, *, repeats: int
) -> Plan:
    """Settle how many images are compared; raises UserError if that cannot be done.

    Without a wish: as many as the baseline can have on both sides, 16384 (the paper's) at most.
    """
    assert reals.count is not None, "reals are counted"
    trained, held_out = len(reals.trained_on), len(reals.held_out)
    if reals.count < FEWEST_REALS or trained < 2 or held_out == 1:
        raise UserError(
            f"{reals.description} has only {_counted(reals)}. {FEWEST_REALS} are "
            "the least, and thousands make a number to trust."
        )
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
    setups = [
        replace(setup, seed=derive_seed(setup.seed, number)) for number in range(plan.repeats)
    ]
    for name, opened in images.items():
        source = opened()
        require_alike(source, reals)
        yield Row(
            name,
            plan.num_images,
            [
                _measure(source.draw(_image_rows(source, plan, setup, number)), first, plan, each)
                for number, ((first, _), each) in enumerate(zip(pairs, setups, strict=True))
            ],
        )
    yield Row(
        BASELINE,
        plan.num_baseline,
        [
            _baseline(first.first(plan.num_baseline), other, plan, each)
            for (first, other), each in zip(pairs, setups, strict=True)
        ],
    )


def _reals(reals: Source, plan: Plan, setup: Setup, number: int) -> tuple[ImageSample, ImageSample]:
    """The reals that meet the images, and those of the baseline."""
    order = _shuffled(reals.trained_on, setup, number, "reals")
    held_out = _shuffled(reals.held_out, setup, number, "held-out")
    others = held_out[: plan.num_baseline] if held_out.size else order[-plan.num_baseline :]
    return reals.draw(order[: plan.num_images]), reals.draw(others)


def _measure(images: ImageSample, reals: ImageSample, plan: Plan, setup: Setup) -> Results:
    return {name: METRICS[name].measure(images, reals, setup) for name in plan.names}


def _baseline(reals: ImageSample, others: ImageSample, plan: Plan, setup: Setup) -> Results:
    """The same, kept with the statistics of the reals: it is the same for every network."""
    detector = setup.detector.fingerprint if setup.detector else ""
    against = f"against {reals.rows.tolist()} seed {setup.seed}"

    def kept(name: str) -> dict[str, float]:
        means = detector * METRICS[name].needs_detector
        stored = others.kept(
            f"{name} {means} {against}",
            lambda: {
                column: np.array(value)
                for column, value in METRICS[name].measure(others, reals, setup).items()
            },
        )
        return {column: float(value) for column, value in stored.items()}

    return {name: kept(name) for name in plan.names}


def _image_rows(images: Source, plan: Plan, setup: Setup, number: int) -> Rows:
    """A network shows the seeds 0, 1, 2 …, each repeat the next ones; files are drawn from."""
    if images.count is None:
        rows = number * plan.num_images + np.arange(plan.num_images)
    else:
        rows = np.arange(images.count)
    return _shuffled(rows, setup, number, "images")[: plan.num_images]


def _shuffled(rows: Rows, setup: Setup, number: int, role: str) -> Rows:
    """Neighbours, which ms-ssim compares, must be strangers: files are often sorted by class."""
    return numpy_generator(setup.seed, number, role).permutation(rows)


def _require_images(source: Source, num_images: int, count: int | None) -> None:
    if count is not None and not 2 <= num_images <= count:
        advice = (
            f"Ask for 2 to {count}"
            if count > 2
            else "Ask for 2"
            if count == 2
            else ("Name a source of more")
        )
        raise UserError(
            f"{source.description} has {_counted(source)}, and {num_images} "
            f"{pluralize(num_images, 'is', 'are')} asked for. {advice}."
        )


def _counted(source: Source) -> str:
    held_out = len(source.held_out)
    others = f", and {format_count(held_out, 'other')} for the baseline" if held_out else ""
    return f"{format_count(len(source.trained_on), 'image')}{others}"


def format_table(images: str, reals: Source, plan: Plan, rows: Sequence[Row]) -> str:
    """The rows below a line that says what was compared; several repeats as mean ± deviation."""
    columns = [column for values in rows[0].repeats[0].values() for column in values]
    cells = [["", "images", *columns]]
    cells += [[row.name, str(row.num_images), *_row_cells(row)] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    lines = [f"images: {images}   reals: {reals.description}   size: {reals.size}"]
    lines += [_aligned(line, widths) for line in cells]
    if plan.num_images != plan.num_baseline:
        lines.append(
            "The rows count different numbers of images. SWD, FID and others depend on "
            f"them: compare with --num-images {plan.num_baseline}."
        )
    return "\n".join(lines)


def to_records(
    row: Row, images: str, reals: Source, plan: Plan, setup: Setup
) -> list[dict[str, Any]]:
    """One JSON object for each metric of a row; 'std' is null without repeats."""
    return [
        {
            "metric": name,
            "row": row.name,
            "images": images,
            "reals": reals.description,
            "size": list(reals.size),
            "num_images": row.num_images,
            "seed": setup.seed,
            "repeats": plan.repeats,
            "progan": __version__,
            **(
                {"detector": setup.detector.name}
                if setup.detector and METRICS[name].needs_detector
                else {}
            ),
            "values": {
                column: dict(zip(("mean", "std"), spread(row, name, column), strict=True))
                for column in row.repeats[0][name]
            },
        }
        for name in plan.names
    ]


def append_lines(path: Path, objects: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines to a file, which need not exist."""
    text = "".join(json.dumps(item, allow_nan=False) + "\n" for item in objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def spread(row: Row, name: str, column: str) -> tuple[float, float | None]:
    """Mean over the repeats and their sample standard deviation, None of a single one."""
    values = [results[name][column] for results in row.repeats]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _row_cells(row: Row) -> list[str]:
    return [
        _format_cell(*spread(row, name, column), METRICS[name].digits)
        for name, values in row.repeats[0].items()
        for column in values
    ]


def _format_cell(mean: float, deviation: float | None, digits: int | None) -> str:
    kind = ".4g" if digits is None else f".{digits}f"
    spread_text = "" if deviation is None else f" ± {deviation:{kind}}"
    return f"{mean:{kind}}{spread_text}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(line, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])
