"""How a training on this machine sends its images through the networks, tried out beforehand."""

import sys

import torch

from progan.config import Run
from progan.partition import Share
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.training.acceleration import accelerated
from progan.training.data_parallel import DataParallel
from progan.training.micro_batches import MicroBatches
from progan.training.passes import Passes
from progan.training.preflight import Preflight, report
from progan.training.state import TrainState
from progan.training.steps import Steps

PREFLIGHTS = {"cuda": "step"}  # by type of device; a real step on a CPU may take half a minute


def prepared(run: Run, state: TrainState, device: torch.device, log: Log, group: Group,
             neighbours: int = 1) -> tuple[Steps, dict[int, float]]:
    """Return the steps, and the seconds per image at each level that a preflight has found.

    Args:
        neighbours: How many of the processes share this machine.
    """

    def report_of_memory(line: str) -> None:
        """Each process has a memory of its own, and only the leader a log."""
        if group.leads:
            log(line)
        else:
            print(f"Process {group.rank}: {line}", file=sys.stderr, flush=True)

    micro_batches = MicroBatches(run, device, report_of_memory)

    def passes_at(level: int) -> Passes:
        passes = micro_batches.at(level)
        return DataParallel(passes, run, group) if group.size > 1 else passes

    steps = accelerated(run, device, log, passes_at, group.size)
    how = PREFLIGHTS.get(device.type, "estimate") if run.preflight == "auto" else run.preflight
    expected = {}
    if how != "none":
        look = Preflight(run=run, state=state, device=device, micro_batches=micro_batches,
                         steps=steps, share=Share(group.rank, group.size),
                         neighbours=neighbours if device.type == "cpu" else 1)
        found = look(how)
        log(report(found, run, how, group.size))
        expected = {each.level: each.seconds_per_image for each in found}
    return steps, expected
