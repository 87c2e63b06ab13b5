"""Measure images against reals, and the real-vs-real baseline; results as text and JSON.

Each repeat takes new samples, seeded by the number of the repeat. The images are compared with
the beginning of the shuffled reals, which for the baseline is compared with their end, so that no
image is compared with itself. Of a dataset with a hold-out, the images are compared with training
images, and the baseline is what was held out.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from metrics import discrete_modes, fidelity, ms_ssim, swd
from metrics.detector import MetricContext
from metrics.samples import ImageSample, ImageShape, Rows
from metrics.sources import SampleSource, require_same_size, resolve_reals
from progan import __version__
from progan.errors import UserError
from progan.runtime.seeding import derive_seed, numpy_generator
from progan.runtime.text import format_count, format_table, pluralize

PAPER_NUM_IMAGES = 16384
FEWEST_REALS = 4  # two disjoint pairs
BASELINE = "real-vs-real baseline"
Results = dict[str, dict[str, float]]  # metric -> column -> value


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the images that it takes.

    Attributes:
        measure: As many images as reals, of one size, and the context -> values by column name.
        require: Raises UserError unless it can measure that many images of that size.
        digits: Decimal places to print; None: four significant digits, as detectors set the scale.
        needs_detector: It compares features, or classes.
        require_detector: Raises UserError if the metric cannot use the detector of the context.
    """

    measure: Callable[[ImageSample, ImageSample, MetricContext], dict[str, float]]
    require: Callable[[ImageShape, int], None]
    digits: int | None
    needs_detector: bool = False
    require_detector: Callable[[MetricContext], None] = lambda context: None


_feature_metric = partial(Metric, require=fidelity.require_measurable, needs_detector=True)
METRICS = {
    "swd": Metric(swd.measure, swd.require_measurable, digits=2),
    "ms-ssim": Metric(ms_ssim.measure, ms_ssim.require_measurable, digits=4),
    "fid": _feature_metric(fidelity.fid, digits=None),
    "kid": _feature_metric(fidelity.kid, digits=None),
    "kid75": _feature_metric(fidelity.kid75, digits=None),
    "is": _feature_metric(fidelity.inception_score, digits=3),
    "pr": _feature_metric(fidelity.precision_recall, digits=4),
    "discrete-modes": Metric(
        discrete_modes.measure,
        discrete_modes.require_measurable,
        digits=None,
        needs_detector=True,
        require_detector=discrete_modes.require_digit_classifier,
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementPlan:
    """Metrics to measure, and on how many images.

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
    """One row of the table: images on each side, and the results of each repeat."""

    name: str
    num_images: int
    repeats: list[Results]


def make_plan(
    images: SampleSource,
    reals: SampleSource,
    names: Sequence[str],
    num_images: int | None,
    *,
    repeats: int,
) -> MeasurementPlan:
    """Choose how many images are compared; raises UserError if there are too few.

    By default as many as the baseline can have on both sides, 16384 (the paper's) at most.
    """
    assert reals.count is not None, "reals are counted"
    trained, held_out = len(reals.training_rows), len(reals.held_out)
    if reals.count < FEWEST_REALS or trained < 2 or held_out == 1:
        raise UserError(
            f"{reals.description} has only {_describe_count(reals)}. At least "
            f"{FEWEST_REALS} are needed, and thousands for a reliable result."
        )
    most = (min(trained, held_out) if held_out else trained // 2) // 2 * 2  # even, for pairs
    if num_images is None:
        available = most if images.count is None else images.count // 2 * 2
        if available < 2:
            raise UserError(
                f"{images.description} has {_describe_count(images)}. At least 2 are needed."
            )
        num_images = min(most, available, PAPER_NUM_IMAGES)
    _require_images(images, num_images, images.count)
    _require_images(reals, num_images, trained)
    num_baseline = min(most, num_images // 2 * 2)
    for name in names:
        METRICS[name].require(images.size, num_images)
        METRICS[name].require(images.size, num_baseline)
    return MeasurementPlan(
        names=names, num_images=num_images, num_baseline=num_baseline, repeats=repeats
    )


def evaluate(
    images: Mapping[str, Callable[[], SampleSource]],
    reals: SampleSource,
    plan: MeasurementPlan,
    context: MetricContext,
) -> Iterator[Row]:
    """Yield a row for each source of images by its name, and finally the baseline.

    Args:
        images: Functions that open the sources, one at a time to save memory.
    """
    # The reals first: a damaged file among them is found before a network generates.
    pairs = [_sample_reals(reals, plan, context, number) for number in range(plan.repeats)]
    contexts = [
        replace(context, seed=derive_seed(context.seed, number)) for number in range(plan.repeats)
    ]
    for name, open_images in images.items():
        source = open_images()
        require_same_size(source, reals)
        repeats = []
        for number, ((first, _), each) in enumerate(zip(pairs, contexts, strict=True)):
            sample = source.sample(_choose_image_rows(source, plan, context, number))
            repeats.append(_measure(sample, first, plan, each))
        yield Row(name, plan.num_images, repeats)
    baseline = [
        _measure_baseline(first.first(plan.num_baseline), other, plan, each)
        for (first, other), each in zip(pairs, contexts, strict=True)
    ]
    yield Row(BASELINE, plan.num_baseline, baseline)


def _sample_reals(
    reals: SampleSource, plan: MeasurementPlan, context: MetricContext, number: int
) -> tuple[ImageSample, ImageSample]:
    """Sample the reals that images are compared with, and the other side of the baseline."""
    order = _shuffle(reals.training_rows, context, number, "reals")
    held_out = _shuffle(reals.held_out, context, number, "held-out")
    others = held_out[: plan.num_baseline] if held_out.size else order[-plan.num_baseline :]
    return reals.sample(order[: plan.num_images]), reals.sample(others)


def _measure(
    images: ImageSample, reals: ImageSample, plan: MeasurementPlan, context: MetricContext
) -> Results:
    return {name: METRICS[name].measure(images, reals, context) for name in plan.names}


def _measure_baseline(
    reals: ImageSample, others: ImageSample, plan: MeasurementPlan, context: MetricContext
) -> Results:
    """Measure reals against other reals, cached: the result is the same for every network."""
    detector = context.detector.fingerprint if context.detector else ""
    against = f"against {reals.rows.tolist()} seed {context.seed}"

    def measure_cached(name: str) -> dict[str, float]:
        fingerprint = detector * METRICS[name].needs_detector
        stored = others.get_or_compute(
            f"{name} {fingerprint} {against}",
            lambda: {
                column: np.array(value)
                for column, value in METRICS[name].measure(others, reals, context).items()
            },
        )
        return {column: float(value) for column, value in stored.items()}

    return {name: measure_cached(name) for name in plan.names}


def _choose_image_rows(
    images: SampleSource, plan: MeasurementPlan, context: MetricContext, number: int
) -> Rows:
    """Choose images: of a network the seeds 0, 1, 2 …, in each repeat the next; of files any."""
    if images.count is None:
        rows = number * plan.num_images + np.arange(plan.num_images)
    else:
        rows = np.arange(images.count)
    return _shuffle(rows, context, number, "images")[: plan.num_images]


def _shuffle(rows: Rows, context: MetricContext, number: int, role: str) -> Rows:
    """Shuffle, as ms-ssim compares neighbours, and files are often sorted by class."""
    return numpy_generator(context.seed, number, role).permutation(rows)


def _require_images(source: SampleSource, num_images: int, count: int | None) -> None:
    if count is not None and not 2 <= num_images <= count:
        advice = {1: "Name a source of more", 2: "Ask for 2"}.get(count, f"Ask for 2 to {count}")
        raise UserError(
            f"{source.description} has {_describe_count(source)}, and {num_images} "
            f"{pluralize(num_images, 'is', 'are')} asked for. {advice}."
        )


def _describe_count(source: SampleSource) -> str:
    held_out = len(source.held_out)
    others = f", and {format_count(held_out, 'other')} for the baseline" if held_out else ""
    return f"{format_count(len(source.training_rows), 'image')}{others}"


def format_results(
    images: str, reals: SampleSource, plan: MeasurementPlan, rows: Sequence[Row]
) -> str:
    """Format the rows below a title line; several repeats as mean ± standard deviation."""
    columns = [column for values in rows[0].repeats[0].values() for column in values]
    cells = [["", "images", *columns]]
    cells += [[row.name, str(row.num_images), *_row_cells(row)] for row in rows]
    lines = [f"images: {images}   reals: {reals.description}   size: {reals.size}"]
    lines.append(format_table(cells, left={0}))
    if plan.num_images != plan.num_baseline:
        lines.append(
            "The rows have different numbers of images. SWD, FID and others depend on "
            f"them: compare with --num-images {plan.num_baseline}."
        )
    return "\n".join(lines)


def to_records(
    row: Row, images: str, reals: SampleSource, plan: MeasurementPlan, context: MetricContext
) -> list[dict[str, Any]]:
    """Return one JSON object for each metric of a row; 'std' is null without repeats.

    Paths are absolute, as the lines are read from other folders too.
    """
    return [
        {
            "metric": name,
            "row": row.name,
            "images": str(Path(images).resolve()),
            "reals": resolve_reals(reals.description),
            "size": list(reals.size),
            "num_images": row.num_images,
            "seed": context.seed,
            "repeats": plan.repeats,
            "progan": __version__,
            **_describe_detector(name, context),
            "values": {
                column: dict(zip(("mean", "std"), mean_and_std(row, name, column), strict=True))
                for column in row.repeats[0][name]
            },
        }
        for name in plan.names
    ]


def _describe_detector(name: str, context: MetricContext) -> dict[str, str]:
    needed = context.detector if METRICS[name].needs_detector else None
    return {"detector": needed.name} if needed else {}


def append_lines(path: Path, objects: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines to a file, which is created if missing."""
    text = "".join(json.dumps(item, allow_nan=False) + "\n" for item in objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def mean_and_std(row: Row, name: str, column: str) -> tuple[float, float | None]:
    """Return the mean over the repeats and the sample standard deviation, None of one repeat."""
    values = [results[name][column] for results in row.repeats]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _row_cells(row: Row) -> list[str]:
    return [
        _format_cell(*mean_and_std(row, name, column), METRICS[name].digits)
        for name, values in row.repeats[0].items()
        for column in values
    ]


def _format_cell(mean: float, deviation: float | None, digits: int | None) -> str:
    kind = ".4g" if digits is None else f".{digits}f"
    spread_text = "" if deviation is None else f" ± {deviation:{kind}}"
    return f"{mean:{kind}}{spread_text}"
