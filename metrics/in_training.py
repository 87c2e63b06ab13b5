"""Metrics of the snapshots of a run, for train.py --metrics."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from metrics.detector import Setup
from metrics.evaluation import BASELINE, METRICS, Plan, evaluate, plan_for
from metrics.samples import ImageSample, Rows
from metrics.sources import Source, mirrored, of_dataset, of_network
from progan.data.reader import Dataset
from progan.runtime.devices import tf32_disabled
from progan.sampling.snapshot_file import Snapshot

Values = Mapping[str, float]


def sources() -> Callable[[Snapshot], Source]:
    """Return the function snapshot -> its pictures, which several metrics of it share."""
    last: dict[int, Source] = {}

    def source_of(snapshot: Snapshot) -> Source:
        if snapshot.images_seen not in last:
            last.clear()
            network = of_network(snapshot, f"kimg {snapshot.images_seen / 1000:g}")
            last[snapshot.images_seen] = _remembering(network)
        return last[snapshot.images_seen]

    return source_of


def reals_of(dataset: Dataset, level: int, *, mirror: bool) -> Source:
    """What a network that grows to `level` trains on."""
    reals = of_dataset(dataset, level)
    return mirrored(reals) if mirror else reals


def plan_of(name: str, num_images: int | None, reals: Source, setup: Setup) -> Plan:
    """What one metric of a snapshot compares.

    Args:
        name: Key of METRICS.
        num_images: As many pictures and reals; None: as `python -m metrics` has it.

    Raises:
        UserError: The metric cannot be measured so: too few reals, images too small, or no
            detector for it.
    """
    plan = plan_for(replace(reals, count=None), reals, [name], num_images, repeats=1)
    METRICS[name].require_detector(setup)
    return plan


def measure_of(
    plan: Plan, reals: Source, setup: Setup, source_of: Callable[[Snapshot], Source]
) -> Callable[[Snapshot], tuple[Values, Values]]:
    """Return the function snapshot -> values of its pictures, values of reals, by column.

    Args:
        source_of: Made by `sources`.
    """

    def measured(snapshot: Snapshot) -> tuple[Values, Values]:
        with tf32_disabled():
            return _values(source_of(snapshot), reals, plan, setup)

    return measured


def _remembering(source: Source) -> Source:
    drawn: dict[bytes, ImageSample] = {}

    def draw(rows: Rows) -> ImageSample:
        key = rows.tobytes()
        if key not in drawn:
            drawn[key] = source.draw(rows)
        return drawn[key]

    return replace(source, draw=draw)


def needs_detector(name: str) -> bool:
    """Whether a metric compares features."""
    return METRICS[name].needs_detector


def _values(images: Source, reals: Source, plan: Plan, setup: Setup) -> tuple[Values, Values]:
    rows = {row.name: row for row in evaluate({"": lambda: images}, reals, plan, setup)}
    (name,) = plan.names
    return rows[""].repeats[0][name], rows[BASELINE].repeats[0][name]
