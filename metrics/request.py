"""What a command line asks to be measured, and the answer: a table and JSON lines."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from metrics.detector import Setup, open_detector
from metrics.evaluation import METRICS, append_lines, evaluate, format_table, plan_for, to_records
from metrics.run_record import ROWS_FILE, metric_files, rows_of_network, run_of_network, store_rows
from metrics.sources import Source, mirrored, of_held_out, open_network, open_pair, to_side
from progan.runtime.devices import choose_device, set_precision
from progan.sampling.network_choice import find_networks
from progan.sampling.network_file import images_seen_of

SINGLE_ROW = "images against reals"  # what the row is called where there is only one

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A measurement as people name it.

    Attributes:
        names: Keys of METRICS.
        images: What to measure.
        is_network: The images come from a network or from a run.
        reals: What to measure against.
        num_images: On each side; None: as `plan_for` has it.
        resize: Side in px that all images are brought to.
        subset: Class of the reals that is taken alone; '': all.
        mirror: Flip half of the reals.
        held_out: Measure against the reals that no training saw.
        detector: None: the default one, where a metric needs any.
        json_file: Where lines are appended.
        record: Keep the rows of a run's networks with the run.
    """

    names: Sequence[str]
    images: Path
    is_network: bool
    reals: Path
    num_images: int | None
    repeats: int
    resize: int | None
    subset: str
    mirror: bool
    held_out: bool
    detector: Path | None
    seed: int
    json_file: Path | None
    record: bool
    device: str


def answer(request: Request) -> str:
    """Measure, write JSON lines as soon as there are any, and return the table."""
    device = choose_device(request.device)
    set_precision("fp32")  # TF32 keeps three digits
    files = find_networks(request.images) if request.is_network else [request.images]
    newest, reals = open_pair(
        files[-1],
        request.reals,
        device,
        network=request.is_network,
        resize=request.resize,
        subset=request.subset,
    )
    reals = mirrored(reals) if request.mirror else reals
    reals = of_held_out(reals) if request.held_out else reals
    plan = plan_for(newest, reals, request.names, request.num_images, repeats=request.repeats)
    setup = setup_for(request.names, request.detector, request.seed, device)
    if request.json_file is not None:
        append_lines(request.json_file, [])  # better refused now than when all is measured

    def snapshot(path: Path) -> Source:
        source = open_network(path, device)
        return source if request.resize is None else to_side(source, request.resize)

    single = len(files) == 1
    networks = {SINGLE_ROW if single else path.stem: path for path in files}
    keep = _keeper(request, files[-1], networks)
    rows = []
    for row in evaluate(
        {SINGLE_ROW: lambda: newest}
        if single
        else {name: partial(snapshot, path) for name, path in networks.items()},
        reals,
        plan,
        setup,
    ):
        rows.append(row)
        keep(
            row.name,
            to_records(row, str(files[0] if single else request.images), reals, plan, setup),
        )
    return format_table(str(request.images), reals, plan, rows)


def _keeper(
    request: Request, network: Path, networks: Mapping[str, Path]
) -> Callable[[str, Records], None]:
    """The function that writes the records of a row where they belong.

    Args:
        networks: By the names of rows.
    """
    run = _recording_run(request, network)

    def keep(name: str, found: Records) -> None:
        if request.json_file is not None:
            append_lines(request.json_file, found)
        if run is not None:
            store_rows(run, rows_of_network(found, networks[name]) if name in networks else found)

    return keep


def _recording_run(request: Request, network: Path) -> Path | None:
    """The run that keeps the rows, if any does; what speaks against it is told."""
    run = run_of_network(network) if request.is_network and request.record else None
    if run is None or images_seen_of(network) is None or _lies_in(request.json_file, run):
        return None
    obstacle = (
        "--resize compares other images than its own"
        if request.resize is not None
        else "--held-out compares with other images than its metrics"
        if request.held_out
        else f"{run} cannot be written"
        if not os.access(run, os.W_OK)
        else ""
    )
    click.echo(
        f"These rows are not kept with the run: {obstacle}."
        if obstacle
        else f"These rows are kept with the run, in {run / ROWS_FILE} (--no-record: not).",
        err=True,
    )
    return None if obstacle else run


def _lies_in(file: Path | None, run: Path) -> bool:
    """Whether lines that are appended to a file are among those of the run anyway."""
    return file is not None and file.resolve() in [each.resolve() for each in metric_files(run)]


def setup_for(
    names: Sequence[str], detector: Path | None, seed: int, device: torch.device
) -> Setup:
    """What metrics need; raises UserError for a detector that is missing, or no use to them."""
    needed = any(METRICS[name].needs_detector for name in names)
    setup = Setup(
        seed=seed,
        device=device,
        detector=open_detector(detector, "inception", device) if needed else None,
    )
    for name in names:
        METRICS[name].require_detector(setup)
    return setup
