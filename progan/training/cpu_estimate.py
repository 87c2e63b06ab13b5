"""A preset made for GPUs, on a machine without one: how long it would take, said beforehand."""

import torch

from progan import schedule
from progan.config import Run, override
from progan.networks.cost import multiply_adds
from progan.runtime import devices
from progan.runtime.log import human_seconds
from progan.training import state as states
from progan.training.eta import remaining_seconds
from progan.training.micro_batches import MicroBatches
from progan.training.preflight import AFFORDABLE_GMAC, Preflight, demanding_stages
from progan.training.steps import PlainSteps

FOR_CPUS = ("cpu", "demo")  # presets
SHORT_SECONDS = 3600.0
SMALLEST_BATCH = 4  # batch normalisation and minibatch stddev need several images


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
    """Estimate the seconds of a whole run, from a few steps at its first resolution.

    The batch is cut to what takes about a second, and the networks to that resolution; speed per
    image is nearly the same.
    """
    first = next(iter(demanding_stages(run, 0).values()))
    affordable = int(AFFORDABLE_GMAC * 1e9 / (run.growth.d_repeats * multiply_adds(
        run.network, first.level)))
    batch = min(first.batch, max(affordable, SMALLEST_BATCH))
    resolution = first.resolution if run.network.grows else run.network.resolution
    small = override(run, {
        "resolution": resolution, "initial_resolution": resolution, "fade_first": False,
        "freeze_d": 0, "batch": batch, "batch_at": (), "micro_batch": 0})
    stage = schedule.at(small.growth, small.network, 0)
    micro_batches = MicroBatches(small, device, lambda line: None)
    preflight = Preflight(run=small, state=states.create(small, device), device=device,
                          micro_batches=micro_batches, steps=PlainSteps(micro_batches.at))
    measured = {first.level: preflight.measure_seconds_per_image(stage)}
    return remaining_seconds(run.growth, run.network, 0, measured)[1]
