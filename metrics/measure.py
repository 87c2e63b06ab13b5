"""Measure networks or images of a command line, and snapshots of a run."""

import operator
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch

from metrics.detector import MetricContext, open_detector
from metrics.evaluation import (
    BASELINE,
    METRICS,
    MeasurementPlan,
    append_lines,
    evaluate,
    format_results,
    make_plan,
    to_records,
)
from metrics.options import MODES, SourceOptions
from metrics.run_record import (
    ROWS_FILE,
    MetricKey,
    MetricResult,
    RunRecord,
    Values,
    add_network_name,
    add_results,
    is_measured_against,
    list_metric_files,
    store_and_replace_rows,
)
from metrics.samples import ImageSample, Rows
from metrics.sources import (
    SampleSource,
    dataset_source,
    flip_half_of_source,
    network_source,
    open_network_source,
    open_pair,
    open_source,
    require_size_of_network,
    resize_source,
    swap_held_out,
)
from progan.data.format import INFO_FILE, read_info
from progan.data.reader import Dataset, find_class_index, select_class
from progan.errors import UserError
from progan.invocation import command_line
from progan.run_directory import find_run_of_file, load_config
from progan.runtime.devices import choose_device, tf32_disabled
from progan.sampling.find_network import find_networks
from progan.sampling.snapshot_file import Snapshot, read_images_seen

MIRROR = "--mirror"
SINGLE_ROW = "images against reals"  # name of the row where there is only one


@tf32_disabled()
def measure(
    names: Sequence[str],
    sources: SourceOptions,
    *,
    num_images: int | None,
    repeats: int,
    mirror: bool | None = None,
    held_out: bool = False,
    record: bool,
) -> str:
    """Measure, append each row to its files as soon as it is known, and return the table.

    Args:
        names: Keys of METRICS.
        num_images: On each side; None: as `make_plan` chooses.
        mirror: Flip half of the reals; None: not, as the command has no --mirror.
        record: Store the rows of a run's networks with the run.
    """
    device, files, newest, reals = _open_measured(sources)
    is_network, measured = sources.network is not None, sources.measured
    reals = flip_half_of_source(reals) if mirror else reals
    reals = swap_held_out(reals) if held_out else reals
    plan = make_plan(newest, reals, names, num_images, repeats=repeats)
    context = create_context(names, sources.detector, sources.seed, device)
    if sources.json_file is not None:
        append_lines(sources.json_file, [])  # fail now rather than after measuring
    run = (
        _find_recording_run_and_report(sources, files[-1], mirror=mirror, held_out=held_out)
        if is_network and record
        else None
    )
    if len(files) == 1:
        networks, openers = {SINGLE_ROW: files[0]}, {SINGLE_ROW: lambda: newest}
    else:
        networks = {path.stem: path for path in files}
        openers = {
            name: partial(_open_measured_source, path, sources, device)
            for name, path in networks.items()
        }
    description = str(files[0] if len(files) == 1 else measured)
    rows = []
    for row in evaluate(openers, reals, plan, context):
        rows.append(row)
        records = to_records(row, description, reals, plan, context)
        if sources.json_file is not None:
            append_lines(sources.json_file, records)
        if run is not None:
            network = networks.get(row.name)
            store_and_replace_rows(run, add_network_name(records, network) if network else records)
    return format_results(str(measured), reals, plan, rows)


@tf32_disabled()  # it keeps three digits
def measure_values(
    names: Sequence[str], sources: SourceOptions, *, num_images: float | None
) -> dict[str, dict[str, float]]:
    """Measure once; return values by column: of the images, and the real-vs-real baseline.

    Args:
        names: Keys of METRICS, but discrete-modes, which needs a classifier of digits.
        num_images: A whole number, on each side; None: as `make_plan` chooses.

    Raises:
        UserError: Unknown metrics or none, or they cannot be measured.
    """
    known = [name for name in METRICS if name != MODES]
    if not names:
        raise UserError(f"No metrics were given: name at least one of {', '.join(known)}.")
    for name in names:
        if name == MODES:
            words = ("--network", "NETWORK", "--data", "DATASET", "--classifier", "FILE")
            raise UserError(f"{MODES} is measured by {command_line('metrics', MODES, *words)}.")
        if name not in known:
            raise UserError(f"Unknown metric {name!r}. Metrics: {', '.join(known)}.")
    count = None if num_images is None else _parse_num_images(num_images)
    device, _, images, reals = _open_measured(sources)
    plan = make_plan(images, reals, names, count, repeats=1)
    context = create_context(names, sources.detector, sources.seed, device)
    measured, baseline = evaluate({SINGLE_ROW: lambda: images}, reals, plan, context)
    return {
        key: {
            column: value for values in row.repeats[0].values() for column, value in values.items()
        }
        for key, row in (("images", measured), ("reals", baseline))
    }


def _parse_num_images(number: float) -> int:
    """Return a number of images as int, 1e4 as 10000; UserError unless it is whole, at least 2."""
    is_whole_float = isinstance(number, (float, np.floating)) and number.is_integer()
    try:
        found = int(number) if is_whole_float else operator.index(number)  # type: ignore[arg-type]
    except TypeError:  # such as 2.5 or '10'
        found = 0
    if found < 2:
        raise UserError(
            f"num_images cannot be {number!r}: a whole number of at least 2 is expected."
        )
    return found


def _open_measured(
    sources: SourceOptions,
) -> tuple[torch.device, list[Path], SampleSource, SampleSource]:
    """Return the device, the files to measure, the last of them opened, and the reals."""
    device, measured = choose_device(sources.device), sources.measured
    files = find_networks(measured) if sources.network is not None else [measured]
    return device, files, *open_pair(sources, files[-1], device)


def _open_measured_source(path: Path, sources: SourceOptions, device: torch.device) -> SampleSource:
    source = open_network_source(path, device)
    return source if sources.resize is None else resize_source(source, sources.resize)


def _find_recording_run_and_report(
    sources: SourceOptions, network: Path, *, mirror: bool | None, held_out: bool
) -> Path | None:
    """Return the run that stores the rows of a network, None if none does; print what happens."""
    run = find_run_of_file(network)
    if run is None or read_images_seen(network) is None:
        return None
    if sources.json_file and sources.json_file.resolve() in map(
        Path.resolve, list_metric_files(run)
    ):
        return None  # --json appends to a file of the run
    obstacle = remedy = ""
    if sources.resize is not None:
        obstacle = "--resize compares other images than its own"
    elif held_out:
        obstacle = "--held-out compares with other images than its metrics"
    elif difference := _describe_other_reals(run, sources, mirror=bool(mirror)):
        obstacle = f"it was trained {difference}"
        if mirror is not None or MIRROR not in difference:
            remedy = f" {_advise_on_reals(difference)}"
    elif not os.access(run, os.W_OK):
        obstacle = f"{run} cannot be written"
    click.echo(
        f"These rows are not stored with the run: {obstacle}.{remedy}"
        if obstacle
        else f"These rows are stored with the run, in {run / ROWS_FILE} "
        "(--no-record turns this off).",
        err=True,
    )
    return None if obstacle else run


def _describe_other_reals(run: Path, sources: SourceOptions, *, mirror: bool) -> str:
    """Return how a run's images were selected in training, if not as here; '' if they were."""
    trained = load_config(run).data
    if trained.mirror != mirror:
        return f"{'with' if trained.mirror else 'without'} {MIRROR}"
    if trained.subset == sources.subset:
        return ""
    if trained.subset and sources.subset:  # a class may be given by name and by index
        dataset = Dataset.open(sources.reals)
        names = [select_class(dataset, name).name for name in (trained.subset, sources.subset)]
        if names[0] == names[1]:
            return ""
    return f"with --subset {trained.subset}" if trained.subset else "without --subset"


def _advise_on_reals(difference: str) -> str:
    """Return how to compare with the reals of the training.

    Args:
        difference: 'with' or 'without' an option, as `_describe_other_reals` returns it.
    """
    how, _, option = difference.partition(" ")
    is_mirrored = option == MIRROR
    if how == "with":
        images = "mirrored images" if is_mirrored else "this class alone"
        return f"Add {option} to compare with {images} and store them."
    images = "images that are not mirrored" if is_mirrored else "all classes"
    return f"Omit {option} to compare with {images} and store them."


def create_context(
    names: Sequence[str], detector: Path | None, seed: int, device: torch.device
) -> MetricContext:
    """Open the detector if a metric needs one; raises UserError if it is missing or unsuitable."""
    needed = any(METRICS[name].needs_detector for name in names)
    context = MetricContext(
        seed=seed,
        device=device,
        detector=open_detector(detector, "inception", device) if needed else None,
    )
    for name in names:
        METRICS[name].require_detector(context)
    return context


SourceOf = Callable[[Snapshot], SampleSource]


def make_shared_source_of() -> SourceOf:
    """Return the function snapshot -> its images, which several metrics of it share."""
    last: dict[int, SampleSource] = {}

    def source_of(snapshot: Snapshot) -> SampleSource:
        if snapshot.images_seen not in last:
            last.clear()
            network = network_source(snapshot, f"kimg {snapshot.images_seen / 1000:g}")
            last[snapshot.images_seen] = _memoize_samples(network)
        return last[snapshot.images_seen]

    return source_of


def _memoize_samples(source: SampleSource) -> SampleSource:
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
    return flip_half_of_source(reals) if mirror else reals


def needs_detector(name: str) -> bool:
    """True if a metric compares features."""
    return METRICS[name].needs_detector


def plan_snapshot_metric(name: str, num_images: int | None, reals: SampleSource) -> MeasurementPlan:
    """Plan one metric of snapshots.

    Args:
        name: Key of METRICS.
        num_images: Images, and as many reals; None: as `python -m metrics` chooses.

    Raises:
        UserError: Too few reals, or images too small.
    """
    return make_plan(replace(reals, count=None), reals, [name], num_images, repeats=1)


def make_snapshot_metric(
    plan: MeasurementPlan, reals: SampleSource, context: MetricContext, source_of: SourceOf
) -> Callable[[Snapshot], tuple[Values, Values]]:
    """Return the function snapshot -> values of its images, values of reals, by column.

    Args:
        source_of: Made by `make_shared_source_of`.

    Raises:
        UserError: No detector for the metric.
    """
    (name,) = plan.names
    METRICS[name].require_detector(context)

    def measure(snapshot: Snapshot) -> tuple[Values, Values]:
        with tf32_disabled():
            images = source_of(snapshot)
            rows = {row.name: row for row in evaluate({"": lambda: images}, reals, plan, context)}
        return rows[""].repeats[0][name], rows[BASELINE].repeats[0][name]

    return measure


def measure_missing(
    record: RunRecord,
    metrics: Mapping[str, MetricKey],
    data: Path,
    context: MetricContext,
    detector: str | None = None,
) -> RunRecord:
    """Measure the metrics that a record lacks, as `train.py --metrics` does; return the record.

    It lacks those that were measured against other reals or with another detector too; their
    values are replaced in the record, and not in the files of the run.

    Args:
        data: The reals: a dataset, or a folder or zip file of images.
        detector: Name of the detector that all values must be measured with, that of the context;
            None: values that the record has may be of any.

    Raises:
        UserError: They cannot be measured of this network and these reals.
    """
    missing = [
        metric
        for metric in metrics.values()
        if not is_measured_against(record, metric, data, detector)
    ]
    if not missing:
        return record
    return add_results(record, _measure_missing(record, missing, data, context, detector))


def _measure_missing(
    record: RunRecord,
    metrics: list[MetricKey],
    data: Path,
    context: MetricContext,
    detector: str | None,
) -> Iterator[MetricResult]:
    network = network_source(record.snapshot, str(record.path))
    subset = record.run.data.subset
    if subset:
        _require_class_of_run(record, subset, data)
    reals = open_source(data, context.device, network.size, subset, can_resize=False)
    if reals.count is None:
        raise UserError(
            f"{data} is a network. Name the real images that the runs are compared with."
        )
    require_size_of_network(network, reals)
    reals = flip_half_of_source(reals) if record.run.data.mirror else reals
    source_of = make_shared_source_of()
    for name, count in metrics:
        plan = plan_snapshot_metric(name, count, reals)
        metric = name, plan.num_images
        # With the default number of images, it may be known.
        if not is_measured_against(record, metric, data, detector):
            measure = make_snapshot_metric(plan, reals, context, source_of)
            name_of_detector = context.detector.name if context.detector else ""
            yield MetricResult(
                metric, *measure(record.snapshot), reals.description, name_of_detector
            )


def _require_class_of_run(record: RunRecord, subset: str, data: Path) -> None:
    """Raise UserError unless the reals have the class that a run was trained on alone."""
    is_dataset = (data / INFO_FILE).is_file()
    names = read_info(data).label_names if is_dataset else ()
    if find_class_index(names, subset) is not None:
        return
    fault = "does not have it" if names else "has no classes" if is_dataset else "is not a dataset"
    raise UserError(
        f"{record.directory} was trained on the class {subset} alone, and {data} {fault}. Name a "
        "dataset that has this class with --data, such as the one that it was trained on, "
        f"{record.run.data.data}."
    )
