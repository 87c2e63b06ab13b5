"""A preset made for GPUs, on a machine without one: how long it would take, said beforehand."""

import torch

from progan import schedule
from progan.config import Run, override
from progan.networks.cost import multiply_adds
from progan.runtime import devices
from progan.runtime.log import human_seconds
from progan.sizes import MIN_LEVEL
from progan.training import state as states
from progan.training.eta import remaining_seconds
from progan.training.gradients import BatchSplit, MicroBatchSizes
from progan.training.preflight import AFFORDABLE_GMAC, Preflight
from progan.training.step import PlainSteps

FOR_CPUS = ("cpu", "demo")  # presets
SHORT_SECONDS = 3600.0
LOWEST_LEVEL = 3  # the kinds that do not grow resample at least once
SMALLEST_BATCH = 2  # batch normalisation and minibatch stddev need several images


def is_for_gpus(run: Run, device: torch.device) -> bool:
    """Whether a run that was made for GPUs has none."""
    return device.type == "cpu" and run.preset not in FOR_CPUS


def cpu_note(run: Run, device: torch.device, seconds: float | None) -> str:
    """Recommend --preset cpu where a preset for GPUs would take long; '' elsewhere.

    Args:
        seconds: That the run takes, as estimated; None: not known.
    """
    short = seconds is not None and seconds <= SHORT_SECONDS
    if short or not is_for_gpus(run, device):
        return ""
    time = "long" if seconds is None else f"{human_seconds(seconds)} (a rough estimate)"
    smaller = " --resolution 32" * (run.network.resolution > 32)
    return (f"Preset {run.preset} is made for GPUs; on {devices.describe(device)} this run would "
            f"take {time}. For a CPU: --preset cpu{smaller}.")


def estimate_seconds(run: Run, device: torch.device) -> float:
    """Estimate the seconds of a whole run, from an iteration that takes a few seconds at most.

    It is one of the run's networks cut to a low resolution, with a batch of a few images: time is
    taken to grow with the multiplications.
    """
    small = _affordable(run)
    stage = schedule.at(small.growth, small.network, 0)
    micro_batches = MicroBatchSizes(small, lambda line: None)
    preflight = Preflight(run=small, state=states.create(small, device), device=device,
                          micro_batches=micro_batches, steps=PlainSteps(BatchSplit(micro_batches)))
    seconds = preflight.measure_seconds_per_image(stage, tries=1)
    first = schedule.first_level(run.growth, run.network)
    seconds *= multiply_adds(run.network, first) / multiply_adds(small.network, stage.level)
    return remaining_seconds(run.growth, run.network, 0, {first: seconds})[1]


def _affordable(run: Run) -> Run:
    """The run at one resolution, at most its first one, at which an iteration is affordable."""
    first = schedule.first_level(run.growth, run.network)
    for level in range(first, MIN_LEVEL - 1, -1):
        resolution = 1 << level
        small = override(run, {
            "resolution": resolution, "initial_resolution": resolution, "fade_first": False,
            "freeze_d": 0, "batch_at": (), "micro_batch": 0, "d_repeats": 1})
        affordable = int(AFFORDABLE_GMAC * 1e9 / multiply_adds(small.network, level))
        if affordable >= SMALLEST_BATCH or level == LOWEST_LEVEL and not run.network.grows:
            break
    batch = schedule.at(run.growth, run.network, 0).batch
    return override(small, {"batch": min(batch, max(affordable, SMALLEST_BATCH))})
