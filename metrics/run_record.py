"""Read a run: its settings, a network of it, and all results of its metrics; store new ones."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from metrics.detector import default_weights_name
from metrics.evaluation import BASELINE, METRICS
from metrics.options import parse_metrics
from metrics.sources import describe_reals, resolve_reals, split_reals
from progan.config import Run
from progan.data.format import read_info
from progan.errors import UserError
from progan.interop.load import load_snapshot
from progan.run_directory import (
    BEST_PREFIX,
    METRIC_PREFIX,
    STATISTICS_FILE,
    find_run_or_state,
    load_config,
)
from progan.runtime.files import read_json_lines, write_atomically
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import NETWORK_SUFFIX, Snapshot, read_images_seen

STATISTICS = re.compile(
    r"loss/(critic|generator)|.*accuracy.*|progress/hours|speed/images-per-second"
)
Values = Mapping[str, float]  # by column
MetricKey = tuple[str, int | None]  # key of METRICS, number of images
ROWS_FILE = f"{METRIC_PREFIX}measured.jsonl"
OLD_BASELINE = "reals against reals"  # its name in rows of earlier versions
RESULT_FIELDS = ("values", "progan")  # all other fields identify a measurement


class MetricResult(NamedTuple):
    """Values of images and of reals; either may be missing."""

    metric: MetricKey
    values: Values
    reals: Values
    against: str = ""  # description of the reals; '': those that the run trains on
    detector: str = ""  # name; '': that of the run's --detector


class Conditions(NamedTuple):
    """What a metric was measured with.

    Attributes:
        against: Description of the reals.
        detector: Its name; '' where none is used.
    """

    against: str
    detector: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """One network of a run and its results.

    Attributes:
        path: The network file.
        measured: The metrics among the values, and the conditions of their last measurement.
        values: Results of metrics, and statistics of the training when it was saved, by column.
        reals: Results of the real-vs-real baseline, by column.
        conditions: Those of the values of metrics, by column.
    """

    path: Path
    run: Run
    snapshot: Snapshot
    measured: Mapping[MetricKey, Conditions] = field(default_factory=dict)
    values: Values = field(default_factory=dict)
    reals: Values = field(default_factory=dict)
    conditions: Mapping[str, Conditions] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.path.parent

    @property
    def kimg(self) -> float:
        return self.snapshot.images_seen / 1000


def read_record(path: Path, *, best: bool, device: torch.device) -> RunRecord:
    """Read a network with its run and results; raises UserError if any is missing or damaged.

    Args:
        path: The directory of a run, or one of its networks.
        best: Of a directory, take the network that --best has saved, not the newest.
    """
    network = _find_newest_best_network(path) if best and path.is_dir() else find_network(path)
    run, snapshot = load_config(network.parent), load_snapshot(network, device)
    record = RunRecord(
        path=network,
        run=run,
        snapshot=snapshot,
        values=read_statistics_at(network.parent, snapshot.images_seen),
    )
    return add_results(record, read_results(network, snapshot.images_seen))


def add_results(record: RunRecord, found: Iterable[MetricResult]) -> RunRecord:
    """Return the record with more results; a later value of a column replaces an earlier one."""
    values, reals, measured = dict(record.values), dict(record.reals), dict(record.measured)
    conditions = dict(record.conditions)
    conditions_of_reals = {
        column: conditions[column] for column in reals if column in conditions
    }  # they were comparable
    for finding in found:
        detector = ""
        if uses_detector(finding.metric):
            detector = finding.detector or get_training_detector_name(record.run)
        own = Conditions(finding.against or describe_training_reals(record.run), detector)
        columns = _label_columns(finding.values, finding.metric)
        values |= columns
        measured |= {finding.metric: own} if columns else {}
        conditions |= dict.fromkeys(columns, own)
        columns_of_reals = _label_columns(finding.reals, finding.metric)
        reals |= columns_of_reals
        conditions_of_reals |= dict.fromkeys(columns_of_reals, own)
    comparable = {
        column: value
        for column, value in reals.items()
        if _are_comparable(conditions.get(column), conditions_of_reals.get(column))
    }
    return replace(
        record, values=values, reals=comparable, measured=measured, conditions=conditions
    )


def _are_comparable(one: Conditions | None, other: Conditions | None) -> bool:
    """Return True if two results were measured under the same conditions, or these are unknown."""
    if one is None or other is None:
        return True
    return are_same_reals(one.against, other.against) and one.detector == other.detector


def uses_detector(metric: MetricKey) -> bool:
    """Return True for a metric that compares features."""
    return metric[0] in METRICS and METRICS[metric[0]].needs_detector


def get_training_detector_name(run: Run) -> str:
    """Return the name of the detector of a run's own metrics."""
    file = run.output.detector
    return Path(file).name if file else default_weights_name("inception")


def are_same_reals(one: str | None, other: str | None) -> bool:
    """Return True if two descriptions of reals name the same, or one of them is unknown."""
    return one is None or other is None or resolve_reals(one) == resolve_reals(other)


def is_measured_against(
    record: RunRecord, metric: MetricKey, data: Path, detector: str | None
) -> bool:
    """Return True if a record has values of a metric against `data`, selected as in training.

    Args:
        detector: Name of the detector; None: any.
    """
    if metric not in record.measured:
        return False
    run, conditions = record.run, record.measured[metric]
    if detector is not None and conditions.detector not in ("", detector):
        return False
    wanted = describe_reals(str(data), run.data.subset, mirror=run.data.mirror)
    return are_same_images(run, conditions.against, wanted)


def are_same_images(run: Run, stored: str, wanted: str) -> bool:
    """Return True if two descriptions of reals select the same images.

    Datasets are known by their fingerprints, so that they may be moved, and all else by its path.

    Args:
        stored: Of a run's result. The dataset that the run was trained on need not exist anymore.
        wanted: Of a dataset as it is now.
    """
    (path, selection), (other, wanted_selection) = split_reals(stored), split_reals(wanted)
    if selection != wanted_selection:
        return False
    if are_same_reals(stored, describe_training_reals(run)) and run.data.fingerprint:
        fingerprint = run.data.fingerprint.partition("-")[0]  # without that of the class
    else:
        fingerprint = _read_fingerprint(path)
    now = _read_fingerprint(other)
    if fingerprint and now:
        return fingerprint == now
    return path.resolve() == other.resolve()


def _read_fingerprint(path: Path) -> str:
    """Return the fingerprint of a dataset; '' of anything else, or if it cannot be read."""
    try:
        return read_info(path).fingerprint
    except UserError:
        return ""


def describe_training_reals(run: Run) -> str:
    """Return the description of the reals that a run trains on, as rows of its metrics have it."""
    return describe_reals(run.data.data, run.data.subset, mirror=run.data.mirror)


def read_statistics_at(directory: Path, images_seen: int) -> Values:
    """Read the last statistics in stats.jsonl up to a number of images."""
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


def read_results(network: Path, images_seen: int) -> Iterator[MetricResult]:
    """Yield the results of a network in all metric-*.jsonl beside it.

    They may be from the training, or from `python -m metrics`; those that this has stored come
    last.
    """
    for file in list_metric_files(network.parent):
        for moment, finding in parse_metric_file(file, {network.stem: images_seen}):
            if moment in (None, images_seen):
                yield finding


def list_metric_files(directory: Path) -> list[Path]:
    """Return all metric-*.jsonl of a run by name, metric-measured.jsonl last."""
    files = directory.glob(f"{METRIC_PREFIX}*.jsonl")
    return sorted(files, key=lambda file: (file.name == ROWS_FILE, file.name))


def parse_metric_file(
    file: Path, networks: Mapping[str, int]
) -> Iterator[tuple[int | None, MetricResult]]:
    """Yield (images seen, result) for each line of a metric-*.jsonl; None for the baseline.

    Raises UserError for a line that is not a metric's.

    Args:
        networks: Images seen by each network, by its name without '.safetensors'.
    """
    try:
        for line in read_json_lines(file):
            yield from (
                _parse_report_line(line, networks)
                if "metric" in line
                else _parse_training_line(line, file.stem)
            )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"{file} is damaged: it has lines that are not results of a metric. Remove "
            "them, or the file."
        ) from error


def _parse_training_line(line: dict[str, Any], stem: str) -> Iterator[tuple[int, MetricResult]]:
    metric, moment = _parse_metric(stem.removeprefix(METRIC_PREFIX)), int(line["images_seen"])
    if metric:
        metric = metric[0], line.get("num_images", metric[1])
        values, reals = _convert_to_floats(line["values"]), _convert_to_floats(line["reals"])
        yield moment, MetricResult(metric, values, reals)


def _parse_report_line(
    line: dict[str, Any], networks: Mapping[str, int]
) -> Iterator[tuple[int | None, MetricResult]]:
    """Parse a line of `python -m metrics`: of a network, the baseline, or anything else.

    A network is known by the images that it has seen: its file may be named as a snapshot or as
    the best one, and a file named as the best one may have been replaced since. Lines of --json
    have only the name.
    """
    if "row" not in line:  # neighbours
        return
    metric = line["metric"], line["num_images"]
    means = _convert_to_floats({column: value["mean"] for column, value in line["values"].items()})
    against, detector = line.get("reals", ""), line.get("detector", "")
    if line["row"] in (BASELINE, OLD_BASELINE):
        yield None, MetricResult(metric, {}, means, against, detector)
        return
    names = line["row"], Path(line["images"]).stem
    moment = line.get("images_seen") or next(
        (networks[name] for name in names if name in networks), None
    )
    if moment is not None:
        yield moment, MetricResult(metric, means, {}, against, detector)


def _convert_to_floats(values: Mapping[str, Any]) -> Values:
    return {column: float(value) for column, value in values.items()}


def column_label(column: str, count: int | None) -> str:
    """Return the heading 'SWDx1e3_avg @16384': each number of images has its own column."""
    return column if count is None else f"{column} @{count}"


def _label_columns(values: Values, metric: MetricKey) -> dict[str, float]:
    return {column_label(column, metric[1]): value for column, value in values.items()}


def _parse_metric(word: str) -> MetricKey | None:
    """Parse 'swd16k' -> ('swd', 16384); None for a metric of another version."""
    try:
        return parse_metrics(word).get(word)
    except UserError:
        return None


def _find_newest_best_network(path: Path) -> Path:
    directory = find_run_or_state(path)
    saved = sorted(
        directory.glob(f"{BEST_PREFIX}*{NETWORK_SUFFIX}"), key=lambda file: file.stat().st_mtime
    )
    if not saved:
        raise UserError(
            f"{directory} has no {BEST_PREFIX}*{NETWORK_SUFFIX}: it was trained without "
            "--best. Compare the newest snapshots."
        )
    return saved[-1]


def add_network_name(records: Sequence[Mapping[str, Any]], network: Path) -> list[dict[str, Any]]:
    """Return the records with the network's name as row, and the images that it has seen.

    --resume from before that network removes these rows, as it overwrites the network.
    """
    return [
        {**record, "row": network.stem, "images_seen": read_images_seen(network)}
        for record in records
    ]


def store_and_replace_rows(directory: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to metric-measured.jsonl of a run; the same measurement is replaced."""
    path = directory / ROWS_FILE
    lines = {_make_measurement_key(line): line for line in read_json_lines(path)}
    for record in records:
        lines.pop(_make_measurement_key(record), None)
        lines[_make_measurement_key(record)] = dict(record)
    write_atomically(
        path, "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines.values())
    )


def _make_measurement_key(record: Mapping[str, Any]) -> str:
    return json.dumps(
        {name: value for name, value in record.items() if name not in RESULT_FIELDS}, sort_keys=True
    )
