"""What a command line asks to be measured, and the answer: a table and JSON lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from metrics.detector import open_detector
from metrics.evaluation import evaluate, plan_for
from metrics.report import append_lines, records, table
from metrics.setup import Setup
from metrics.sources import Source, mirrored, of_held_out, open_network, open_pair, to_side
from metrics.table import METRICS
from progan.runtime.devices import choose, set_precision
from progan.sampling.network_choice import find_networks


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
    device: str


def answer(asked: Request) -> str:
    """Measure, append JSON lines as soon as there are any, and return the table."""
    device = choose(asked.device)
    set_precision("fp32")  # TF32 keeps three digits
    files = find_networks(asked.images) if asked.is_network else [asked.images]
    newest, reals = open_pair(files[-1], asked.reals, device, network=asked.is_network,
                              resize=asked.resize, subset=asked.subset)
    reals = mirrored(reals) if asked.mirror else reals
    reals = of_held_out(reals) if asked.held_out else reals
    plan = plan_for(newest, reals, asked.names, asked.num_images, repeats=asked.repeats)
    setup = setup_for(asked.names, asked.detector, asked.seed, device)
    if asked.json_file is not None:
        append_lines(asked.json_file, [])  # better refused now than when all is measured

    def snapshot(path: Path) -> Source:
        source = open_network(path, device)
        return source if asked.resize is None else to_side(source, asked.resize)

    rows = []
    for row in evaluate({"images against reals": lambda: newest} if len(files) == 1 else
                        {path.stem: partial(snapshot, path) for path in files},
                        reals, plan, setup):
        rows.append(row)
        if asked.json_file is not None:
            append_lines(asked.json_file, records(row, str(asked.images), reals, plan, setup))
    return table(str(asked.images), reals, plan, rows)


def setup_for(names: Sequence[str], detector: Path | None, seed: int, device: torch.device
              ) -> Setup:
    """What metrics need; raises UserError for a detector that is missing, or no use to them."""
    needed = any(METRICS[name].needs_detector for name in names)
    setup = Setup(seed=seed, device=device, detector=open_detector(
        detector, "inception", device) if needed else None)
    for name in names:
        METRICS[name].require_detector(setup)
    return setup
