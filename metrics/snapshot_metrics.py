"""Metrics of the snapshots of a run, for train.py --metrics."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from metrics.detector import MetricContext
from metrics.evaluation import BASELINE, METRICS, MeasurementPlan, evaluate, make_plan
from metrics.samples import ImageSample, Rows
from metrics.sources import SampleSource, dataset_source, mirror_source, network_source
from progan.data.reader import Dataset
from progan.runtime.devices import tf32_disabled
from progan.sampling.network_file import Snapshot

Values = Mapping[str, float]


def share_sources() -> Callable[[Snapshot], SampleSource]:
    """Return the function snapshot -> its pictures, which several metrics of it share."""
    last: dict[int, SampleSource] = {}

    def source_of(snapshot: Snapshot) -> SampleSource:
        if snapshot.images_seen not in last:
            last.clear()
            network = network_source(snapshot, f"kimg {snapshot.images_seen / 1000:g}")
            last[snapshot.images_seen] = _cache_samples(network)
        return last[snapshot.images_seen]

    return source_of


def training_source(dataset: Dataset, level: int, *, mirror: bool) -> SampleSource:
    """What a network that grows to `level` trains on."""
    reals = dataset_source(dataset, level)
    return mirror_source(reals) if mirror else reals


def plan_snapshot_metric(
    name: str, num_images: int | None, reals: SampleSource, context: MetricContext
) -> MeasurementPlan:
    """What one metric of a snapshot compares.

    Args:
        name: Key of METRICS.
        num_images: As many pictures and reals; None: as `python -m metrics` has it.

    Raises:
        UserError: The metric cannot be measured so: too few reals, images too small, or no
            detector for it.
    """
    plan = make_plan(replace(reals, count=None), reals, [name], num_images, repeats=1)
    METRICS[name].require_detector(context)
    return plan


def make_snapshot_metric(
    plan: MeasurementPlan,
    reals: SampleSource,
    context: MetricContext,
    source_of: Callable[[Snapshot], SampleSource],
) -> Callable[[Snapshot], tuple[Values, Values]]:
    """Return the function snapshot -> values of its pictures, values of reals, by column.

    Args:
        source_of: Made by `share_sources`.
    """

    def measured(snapshot: Snapshot) -> tuple[Values, Values]:
        with tf32_disabled():
            return _values(source_of(snapshot), reals, plan, context)

    return measured


def _cache_samples(source: SampleSource) -> SampleSource:
    drawn: dict[bytes, ImageSample] = {}

    def sample(rows: Rows) -> ImageSample:
        key = rows.tobytes()
        if key not in drawn:
            drawn[key] = source.sample(rows)
        return drawn[key]

    return replace(source, sample=sample)


def needs_detector(name: str) -> bool:
    """Whether a metric compares features."""
    return METRICS[name].needs_detector


def _values(
    images: SampleSource, reals: SampleSource, plan: MeasurementPlan, context: MetricContext
) -> tuple[Values, Values]:
    rows = {row.name: row for row in evaluate({"": lambda: images}, reals, plan, context)}
    (name,) = plan.names
    return rows[""].repeats[0][name], rows[BASELINE].repeats[0][name]
