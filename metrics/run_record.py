"""What is known of a run: its settings, its network, and all that was measured of it."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metrics.detector import Setup
from metrics.evaluation import BASELINE
from metrics.in_training import measure_of, plan_of, sources
from metrics.names import parse_metrics
from metrics.sources import mirrored, of_network, open_source, require_alike
from progan.config import Run
from progan.errors import UserError
from progan.interop.load import load_snapshot
from progan.run_directory import (
    BEST_PREFIX,
    CONFIG_FILE,
    METRIC_PREFIX,
    STATISTICS_FILE,
    load_config,
)
from progan.runtime.files import read_json_lines, write_atomically
from progan.sampling.network_choice import find_network
from progan.sampling.network_file import SUFFIX, Snapshot, images_seen_of

STATISTICS = re.compile(
    r"loss/(critic|generator)|.*accuracy.*|progress/hours"
    r"|speed/images-per-second"
)
Values = Mapping[str, float]  # by column
Metric = tuple[str, int | None]  # key of METRICS, and how many images were asked for
ROWS_FILE = f"{METRIC_PREFIX}measured.jsonl"
RESULT_FIELDS = ("values", "progan")  # all else says what was measured, and how


class Finding(NamedTuple):
    """Values of images and of reals; either may be missing."""

    metric: Metric
    values: Values
    reals: Values
    against: str = ""  # the reals; '': the images that the run was trained on


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One network of a run and all that is known of it.

    Attributes:
        path: The network file.
        measured: The metrics that are among the values.
        values: What was measured of it, and what the training said of itself when it was saved.
        reals: What was measured of reals at the same time.
        against: The reals of the metrics among the values, by column.
    """

    path: Path
    run: Run
    snapshot: Snapshot
    measured: frozenset[Metric] = frozenset()
    values: Values = field(default_factory=dict)
    reals: Values = field(default_factory=dict)
    against: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def kimg(self) -> float:
        return self.snapshot.images_seen / 1000


def read_record(path: Path, *, best: bool, device: torch.device) -> RunRecord:
    """Read a network with its run; raises UserError if either is missing or damaged.

    Args:
        path: The directory of a run, or one of its networks.
        best: Of a directory take what --best has kept, not the newest.
    """
    network = _best(path) if best and path.is_dir() else find_network(path)
    run, snapshot = load_config(network.parent), load_snapshot(network, device)
    record = RunRecord(
        path=network,
        run=run,
        snapshot=snapshot,
        values=statistics(network.parent, snapshot.images_seen),
    )
    return with_findings(record, findings(network, snapshot.images_seen))


def with_findings(record: RunRecord, found: Iterable[Finding]) -> RunRecord:
    """The record with what was found besides; of two values of one column the last counts."""
    values, reals, measured = dict(record.values), dict(record.reals), set(record.measured)
    against = dict(record.against)
    for finding in found:
        values |= _labelled(finding.values, finding.metric)
        reals |= _labelled(finding.reals, finding.metric)
        measured |= {finding.metric} if finding.values else set()
        against |= dict.fromkeys(
            _labelled(finding.values, finding.metric), finding.against or record.run.data.data
        )
    return replace(
        record, values=values, reals=reals, measured=frozenset(measured), against=against
    )


def statistics(directory: Path, images_seen: int) -> Values:
    """What the last line of stats.jsonl says up to a number of images."""
    lines = [
        line
        for line in read_json_lines(directory / STATISTICS_FILE)
        if line.get("images_seen", math.inf) <= images_seen
    ]
    return {
        name: value
        for name, value in (lines[-1] if lines else {}).items()
        if STATISTICS.fullmatch(name)
    }


def findings(network: Path, images_seen: int) -> Iterator[Finding]:
    """All that was measured of a network, in all metric-*.jsonl beside it, oldest first.

    They may be from the training, or from `python -m metrics --json`.
    """
    for file in metric_files(network.parent):
        for moment, finding in moments(file, {network.stem: images_seen}):
            if moment in (None, images_seen):
                yield finding


def metric_files(directory: Path) -> list[Path]:
    return sorted(directory.glob(f"{METRIC_PREFIX}*.jsonl"))


def moments(file: Path, networks: Mapping[str, int]) -> Iterator[tuple[int | None, Finding]]:
    """All that a metric-*.jsonl tells, with the images that were seen; None of reals alone.

    Raises UserError where a line is none of a metric.

    Args:
        networks: The names of networks, without '.safetensors', and how many images each has seen.
    """
    try:
        for line in read_json_lines(file):
            yield from (
                _reported(line, networks) if "metric" in line else _of_training(line, file.stem)
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} is damaged: it holds lines that are none of a metric. Remove "
            "them, or the file."
        ) from error


def _of_training(line: dict[str, Any], stem: str) -> Iterator[tuple[int, Finding]]:
    metric, moment = _metric(stem.removeprefix(METRIC_PREFIX)), int(line["images_seen"])
    if metric:
        yield moment, Finding(metric, _numbers(line["values"]), _numbers(line["reals"]))


def _reported(
    line: dict[str, Any], networks: Mapping[str, int]
) -> Iterator[tuple[int | None, Finding]]:
    """A line of `python -m metrics --json`: of a network, of reals, or of something else."""
    if "row" not in line:  # neighbours
        return
    metric = line["metric"], line["num_images"]
    means = _numbers({column: value["mean"] for column, value in line["values"].items()})
    if line["row"] == BASELINE:
        yield None, Finding(metric, {}, means)
        return
    for name in dict.fromkeys((line["row"], Path(line["images"]).stem)):
        if name in networks:
            yield networks[name], Finding(metric, means, {}, line.get("reals", ""))
            return


def _numbers(values: Mapping[str, Any]) -> Values:
    return {column: float(value) for column, value in values.items()}


def label(column: str, count: int | None) -> str:
    """'SWDx1e3_avg @16384': numbers of different counts of images are different columns."""
    return column if count is None else f"{column} @{count}"


def _labelled(values: Values, metric: Metric) -> dict[str, float]:
    return {label(column, metric[1]): value for column, value in values.items()}


def _metric(word: str) -> Metric | None:
    """'swd16k' -> ('swd', 16384); None for a metric of another version."""
    try:
        return parse_metrics(word).get(word)
    except UserError:
        return None


def _best(directory: Path) -> Path:
    kept = sorted(directory.glob(f"{BEST_PREFIX}*{SUFFIX}"), key=lambda file: file.stat().st_mtime)
    if not kept:
        raise UserError(
            f"{directory} holds no {BEST_PREFIX}*{SUFFIX}: it was trained without "
            "--best. Compare the newest snapshots."
        )
    return kept[-1]


def run_of_network(network: Path) -> Path | None:
    """The directory of the run that a network file belongs to; None if it belongs to none."""
    return network.parent if (network.parent / CONFIG_FILE).is_file() else None


def rows_of_network(records: Sequence[Mapping[str, Any]], network: Path) -> list[dict[str, Any]]:
    """The records of a network by its name, with the images that it has seen.

    --resume takes such rows back if it goes on from before that network, which is written anew.
    """
    return [
        {**record, "row": network.stem, "images_seen": images_seen_of(network)}
        for record in records
    ]


def store_rows(directory: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to those of a run; the same measurement replaces the earlier one."""
    path = directory / ROWS_FILE
    lines = {_identity(line): line for line in read_json_lines(path)}
    for record in records:
        lines.pop(_identity(record), None)
        lines[_identity(record)] = dict(record)
    write_atomically(
        path, "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines.values())
    )


def _identity(record: Mapping[str, Any]) -> str:
    return json.dumps(
        {name: value for name, value in record.items() if name not in RESULT_FIELDS}, sort_keys=True
    )


def fill_missing(
    record: RunRecord, wishes: Mapping[str, Metric], data: Path, setup: Setup
) -> RunRecord:
    """The record with all metrics that are wished for, as `train.py --metrics` measures them.

    Args:
        data: The reals: a dataset, or a folder or zip file of images.

    Raises:
        UserError: They cannot be measured of this network and these reals.
    """
    missing = [metric for metric in wishes.values() if metric not in record.measured]
    if not missing:
        return record
    return with_findings(record, _measure_missing(record, missing, data, setup))


def _measure_missing(
    record: RunRecord, metrics: list[Metric], data: Path, setup: Setup
) -> Iterator[Finding]:
    network = of_network(record.snapshot, str(record.path))
    reals = open_source(data, setup.device, network.size, record.run.data.subset)
    if reals.count is None:
        raise UserError(
            f"{data} is a network. Name the real images that the runs are compared with."
        )
    require_alike(network, reals)
    reals = mirrored(reals) if record.run.data.mirror else reals
    source_of = sources()
    for name, count in metrics:
        plan = plan_of(name, count, reals, setup)
        metric = name, plan.num_images
        if metric not in record.measured:  # with the number of images that is the default
            measure = measure_of(plan, reals, setup, source_of)
            yield Finding(metric, *measure(record.snapshot), str(data))
