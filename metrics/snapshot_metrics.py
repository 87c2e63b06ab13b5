"""Metrics of one snapshot of a run: for train.py --metrics, and those that a comparison lacks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from metrics.detector import MetricContext
from metrics.evaluation import BASELINE, METRICS, MeasurementPlan, evaluate, make_plan
from metrics.run_record import Metric, MetricResult, RunRecord, Values, add_results
from metrics.samples import ImageSample, Rows
from metrics.sources import (
    SampleSource,
    dataset_source,
    mirror_source,
    network_source,
    open_source,
    require_same_size,
)
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.runtime.devices import tf32_disabled
from progan.sampling.snapshot_file import Snapshot

SourceOf = Callable[[Snapshot], SampleSource]


def share_sources() -> SourceOf:
    """Return the function snapshot -> its images, which several metrics of it share."""
    last: dict[int, SampleSource] = {}

    def source_of(snapshot: Snapshot) -> SampleSource:
        if snapshot.images_seen not in last:
            last.clear()
            network = network_source(snapshot, f"kimg {snapshot.images_seen / 1000:g}")
            last[snapshot.images_seen] = _cache_samples(network)
        return last[snapshot.images_seen]

    return source_of


def _cache_samples(source: SampleSource) -> SampleSource:
    samples: dict[bytes, ImageSample] = {}

    def sample(rows: Rows) -> ImageSample:
        key = rows.tobytes()
        if key not in samples:
            samples[key] = source.sample(rows)
        return samples[key]

    return replace(source, sample=sample)


def training_source(dataset: Dataset, level: int, *, mirror: bool) -> SampleSource:
    """Return the images that a network trains on which grows to `level`."""
    reals = dataset_source(dataset, level)
    return mirror_source(reals) if mirror else reals


def needs_detector(name: str) -> bool:
    """True if a metric compares features."""
    return METRICS[name].needs_detector


def plan_snapshot_metric(
    name: str, num_images: int | None, reals: SampleSource, context: MetricContext
) -> MeasurementPlan:
    """Plan one metric of snapshots.

    Args:
        name: Key of METRICS.
        num_images: Images, and as many reals; None: as `python -m metrics` chooses.

    Raises:
        UserError: Too few reals, images too small, or no detector for the metric.
    """
    plan = make_plan(replace(reals, count=None), reals, [name], num_images, repeats=1)
    METRICS[name].require_detector(context)
    return plan


def make_snapshot_metric(
    plan: MeasurementPlan, reals: SampleSource, context: MetricContext, source_of: SourceOf
) -> Callable[[Snapshot], tuple[Values, Values]]:
    """Return the function snapshot -> values of its images, values of reals, by column.

    Args:
        source_of: Made by `share_sources`.
    """
    (name,) = plan.names

    def measure(snapshot: Snapshot) -> tuple[Values, Values]:
        with tf32_disabled():
            images = source_of(snapshot)
            rows = {row.name: row for row in evaluate({"": lambda: images}, reals, plan, context)}
        return rows[""].repeats[0][name], rows[BASELINE].repeats[0][name]

    return measure


def fill_missing(
    record: RunRecord, metrics: Mapping[str, Metric], data: Path, context: MetricContext
) -> RunRecord:
    """Measure the metrics that a record lacks, as `train.py --metrics` does; return the record.

    Args:
        data: The reals: a dataset, or a folder or zip file of images.

    Raises:
        UserError: They cannot be measured of this network and these reals.
    """
    missing = [metric for metric in metrics.values() if metric not in record.measured]
    if not missing:
        return record
    return add_results(record, _measure_missing(record, missing, data, context))


def _measure_missing(
    record: RunRecord, metrics: list[Metric], data: Path, context: MetricContext
) -> Iterator[MetricResult]:
    network = network_source(record.snapshot, str(record.path))
    reals = open_source(data, context.device, network.size, record.run.data.subset)
    if reals.count is None:
        raise UserError(
            f"{data} is a network. Name the real images that the runs are compared with."
        )
    require_same_size(network, reals)
    reals = mirror_source(reals) if record.run.data.mirror else reals
    source_of = share_sources()
    for name, count in metrics:
        plan = plan_snapshot_metric(name, count, reals, context)
        metric = name, plan.num_images
        if metric not in record.measured:  # with the default number of images
            measure = make_snapshot_metric(plan, reals, context, source_of)
            yield MetricResult(metric, *measure(record.snapshot), str(data))
