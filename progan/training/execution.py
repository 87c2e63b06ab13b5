"""Execution setup: micro-batches, acceleration and preflight of a training on this machine."""

import sys
from collections.abc import Mapping
from typing import NamedTuple

import torch

from progan.batch_split import Shard
from progan.config import Run
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.training.acceleration import accelerate, choose_acceleration
from progan.training.gradients import BatchSplit
from progan.training.micro_batches import MicroBatchSizes
from progan.training.preflight import Preflight, costs_table, cpu_note, total_seconds
from progan.training.state import TrainState
from progan.training.step import Steps, make_steps

PREFLIGHTS = {"cuda": "step"}  # by type of device; a real step on a CPU may take half a minute


class Execution(NamedTuple):
    """Steps of a training, and what was found out about them.

    Attributes:
        expected: Seconds per image by level, as measured or estimated by a preflight.
    """

    steps: Steps
    expected: Mapping[int, float]


def prepare_execution(
    run: Run,
    state: TrainState,
    device: torch.device,
    log: Log,
    group: Group,
    local_processes: int = 1,
) -> Execution:
    """Choose micro-batches and acceleration, and run the preflight that the run asks for.

    Args:
        local_processes: Processes that share this machine.
    """

    def report_of_machine(line: str) -> None:
        """Log a line; processes without a log print it, as each has its own memory."""
        if group.is_main:
            log(line)
        else:
            print(f"Process {group.rank}: {line}", file=sys.stderr, flush=True)

    micro_batches = MicroBatchSizes(run, report_of_machine)
    split = BatchSplit(micro_batches, group)
    default = PREFLIGHTS.get(device.type, "estimate")
    kind = default if run.preflight == "auto" else run.preflight
    expected, seconds = {}, None
    if kind != "none":
        preflight = Preflight(
            run=run,
            state=state,
            device=device,
            micro_batches=micro_batches,
            steps=make_steps(split),
            share=Shard(group.rank, group.size),
            local_processes=local_processes if device.type == "cpu" else 1,
        )
        costs = preflight(kind)
        log(costs_table(costs, run, kind, group.size))
        expected = {each.level: each.seconds_per_image for each in costs}
        seconds = total_seconds(costs)
    if note := cpu_note(run, device, seconds):
        log(note)
    how = choose_acceleration(run, device, group.size)
    return Execution(accelerate(how, log, split), expected)
