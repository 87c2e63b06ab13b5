"""How a training on this machine sends its images through the networks, tried out beforehand."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import torch

from progan.config import Run
from progan.partition import Share
from progan.runtime import companion
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.training.acceleration import accelerated, chosen
from progan.training.ahead import NOTHING, Ahead, CompilesAhead
from progan.training.cpu_estimate import cpu_note
from progan.training.data_parallel import DataParallel
from progan.training.micro_batches import MicroBatches
from progan.training.passes import Passes
from progan.training.preflight import Preflight, report, total_seconds
from progan.training.state import TrainState
from progan.training.steps import PlainSteps, Steps

PREFLIGHTS = {"cuda": "step"}  # by type of device; a real step on a CPU may take half a minute


class Prepared(NamedTuple):
    """What a training goes with.

    Attributes:
        expected: Seconds per image by level, where a preflight has found them.
        ahead: Is to hear of each round.
    """

    steps: Steps
    expected: Mapping[int, float]
    ahead: Ahead


def prepared(run: Run, state: TrainState, device: torch.device, log: Log, group: Group,
             neighbours: int = 1, first_here: bool = True) -> Prepared:
    """Try out the levels to come, as the run wants it.

    Args:
        neighbours: How many of the processes share this machine.
        first_here: Whether this is the one of them that compiles ahead for all.
    """

    def report_of_machine(line: str) -> None:
        """Each process has a memory of its own, each machine one that compiles ahead, and only
        the leader a log."""
        if group.leads:
            log(line)
        else:
            print(f"Process {group.rank}: {line}", file=sys.stderr, flush=True)

    micro_batches = MicroBatches(run, device, report_of_machine)

    def passes_at(level: int) -> Passes:
        passes = micro_batches.at(level)
        return DataParallel(passes, run, group) if group.size > 1 else passes

    plain, how = PlainSteps(passes_at), chosen(run, device, group.size)
    preflight = PREFLIGHTS.get(device.type, "estimate") if run.preflight == "auto" else (
        run.preflight)
    expected, seconds = {}, None
    if preflight != "none":
        look = Preflight(run=run, state=state, device=device, micro_batches=micro_batches,
                         steps=plain, share=Share(group.rank, group.size),
                         neighbours=neighbours if device.type == "cpu" else 1)
        found = look(preflight)
        log(report(found, run, preflight, group.size))
        expected = {each.level: each.seconds_per_image for each in found}
        seconds = total_seconds(found)
    if note := cpu_note(run, device, seconds):
        log(note)
    compiles = how.compiled and first_here and companion.POSSIBLE
    ahead = CompilesAhead(
        run, device, micro_batch_at=micro_batches.size, log=report_of_machine,
        share=Share(group.rank, group.size)) if compiles else NOTHING
    return Prepared(accelerated(plain, how, log), expected, ahead)
