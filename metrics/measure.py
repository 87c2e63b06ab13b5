"""Measure the networks or images that a command line names: a table and JSON lines."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from metrics.detector import MetricContext, open_detector
from metrics.evaluation import METRICS, append_lines, evaluate, format_table, make_plan, to_records
from metrics.options import SourceOptions
from metrics.run_record import ROWS_FILE, label_rows, metric_files, run_of_network, store_rows
from metrics.sources import (
    SampleSource,
    mirror_source,
    open_network_source,
    open_pair,
    resize_source,
    swap_held_out,
)
from progan.runtime.devices import choose_device, set_precision
from progan.sampling.find_network import find_networks
from progan.sampling.snapshot_file import read_images_seen

SINGLE_ROW = "images against reals"  # name of the row where there is only one


def measure(
    names: Sequence[str],
    sources: SourceOptions,
    *,
    num_images: int | None,
    repeats: int,
    mirror: bool = False,
    held_out: bool = False,
    record: bool,
) -> str:
    """Measure, append each row to its files as soon as it is known, and return the table.

    Args:
        names: Keys of METRICS.
        num_images: On each side; None: as `make_plan` chooses.
        mirror: Flip half of the reals.
        held_out: Compare with the held-out reals.
        record: Store the rows of a run's networks with the run.
    """
    device, is_network = choose_device(sources.device), sources.network is not None
    set_precision("fp32")  # TF32 keeps three digits
    measured = sources.measured
    files = find_networks(measured) if is_network else [measured]
    newest, reals = open_pair(
        files[-1],
        sources.reals,
        device,
        network=is_network,
        resize=sources.resize,
        subset=sources.subset,
    )
    reals = mirror_source(reals) if mirror else reals
    reals = swap_held_out(reals) if held_out else reals
    plan = make_plan(newest, reals, names, num_images, repeats=repeats)
    context = create_context(names, sources.detector, sources.seed, device)
    if sources.json_file is not None:
        append_lines(sources.json_file, [])  # fail now rather than after measuring

    def open_snapshot(path: Path) -> SampleSource:
        source = open_network_source(path, device)
        return source if sources.resize is None else resize_source(source, sources.resize)

    single = len(files) == 1
    networks = {SINGLE_ROW if single else path.stem: path for path in files}
    run = _find_recording_run(sources, files[-1], held_out) if is_network and record else None
    description = str(files[0] if single else measured)
    openers = {name: partial(open_snapshot, path) for name, path in networks.items()}
    rows = []
    for row in evaluate({SINGLE_ROW: lambda: newest} if single else openers, reals, plan, context):
        rows.append(row)
        records = to_records(row, description, reals, plan, context)
        if sources.json_file is not None:
            append_lines(sources.json_file, records)
        if run is not None:
            store_rows(run, _label_records(records, networks.get(row.name)))
    return format_table(str(measured), reals, plan, rows)


def _label_records(
    records: list[dict[str, Any]], network: Path | None
) -> Sequence[Mapping[str, Any]]:
    return records if network is None else label_rows(records, network)


def _find_recording_run(sources: SourceOptions, network: Path, held_out: bool) -> Path | None:
    """Return the run that stores the rows of a network, None if none does; print what happens."""
    run = run_of_network(network)
    if run is None or read_images_seen(network) is None:
        return None
    if sources.json_file and sources.json_file.resolve() in map(Path.resolve, metric_files(run)):
        return None  # --json appends to a file of the run
    obstacle = ""
    if sources.resize is not None:
        obstacle = "--resize compares other images than its own"
    elif held_out:
        obstacle = "--held-out compares with other images than its metrics"
    elif not os.access(run, os.W_OK):
        obstacle = f"{run} cannot be written"
    click.echo(
        f"These rows are not stored with the run: {obstacle}."
        if obstacle
        else f"These rows are stored with the run, in {run / ROWS_FILE} (--no-record: not).",
        err=True,
    )
    return None if obstacle else run


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
