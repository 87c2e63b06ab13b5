"""How a training on this machine sends its images through the networks, tried out beforehand."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import torch

from progan.batch_split import Shard
from progan.config import Run
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.training.acceleration import accelerated, chosen
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.preflight import Preflight, cpu_note, report, total_seconds
from progan.training.state import TrainState
from progan.training.step import PlainSteps, Steps

PREFLIGHTS = {"cuda": "step"}  # by type of device; a real step on a CPU may take half a minute


class Execution(NamedTuple):
    """What a training goes with.

    Attributes:
        expected: Seconds per image by level, where a preflight has found them.
    """

    steps: Steps
    expected: Mapping[int, float]


def prepare_execution(
    run: Run, state: TrainState, device: torch.device, log: Log, group: Group, neighbours: int = 1
) -> Execution:
    """Try out the levels to come, as the run wants it.

    Args:
        neighbours: How many of the processes share this machine.
    """

    def report_of_machine(line: str) -> None:
        """Log a line; processes without a log print it, as each has a memory of its own."""
        if group.is_main:
            log(line)
        else:
            print(f"Process {group.rank}: {line}", file=sys.stderr, flush=True)

    micro_batches = MicroBatchSizes(run, report_of_machine)
    plain = PlainSteps(BatchSplit(micro_batches, group))
    how = chosen(run, device, group.size)
    preflight = (
        PREFLIGHTS.get(device.type, "estimate") if run.preflight == "auto" else (run.preflight)
    )
    expected, seconds = {}, None
    if preflight != "none":
        look = Preflight(
            run=run,
            state=state,
            device=device,
            micro_batches=micro_batches,
            steps=plain,
            share=Shard(group.rank, group.size),
            neighbours=neighbours if device.type == "cpu" else 1,
        )
        found = look(preflight)
        log(report(found, run, preflight, group.size))
        expected = {each.level: each.seconds_per_image for each in found}
        seconds = total_seconds(found)
    if note := cpu_note(run, device, seconds):
        log(note)
    return Execution(accelerated(plain, how, log), expected)
