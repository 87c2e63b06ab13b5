"""Measure what has not been measured of a run yet."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from metrics.in_training import measure_of, plan_of, sources
from metrics.run_record import Finding, Metric, RunRecord, with_findings
from metrics.setup import Setup
from metrics.sources import mirrored, of_network, open_source, require_alike
from progan.errors import UserError


def completed(record: RunRecord, wishes: Mapping[str, Metric], data: Path, setup: Setup
              ) -> RunRecord:
    """The record with all metrics that are wished for, as `train.py --metrics` measures them.

    Args:
        data: The reals: a dataset, or a folder or zip file of images.

    Raises:
        UserError: They cannot be measured of this network and these reals.
    """
    missing = [metric for metric in wishes.values() if metric not in record.measured]
    return with_findings(record, _measured(record, missing, data, setup)) if missing else record


def _measured(record: RunRecord, metrics: list[Metric], data: Path, setup: Setup
              ) -> Iterator[Finding]:
    network = of_network(record.snapshot, str(record.path))
    reals = open_source(data, setup.device, network.size, record.run.data.subset)
    if reals.count is None:
        raise UserError(f"{data} is a network. Name the real images that the runs are compared "
                        "with.")
    require_alike(network, reals)
    reals = mirrored(reals) if record.run.data.mirror else reals
    source_of = sources()
    for name, count in metrics:
        plan = plan_of(name, count, reals, setup)
        metric = name, plan.num_images
        if metric not in record.measured:  # with the number of images that is the default
            measure = measure_of(plan, reals, setup, source_of)
            yield Finding(metric, *measure(record.snapshot), str(data))
