"""Measurements of `benchmarks/gpu.py`: limits of the machine, steps, compilation, data, images.

Every function is a task of `benchmarks/isolated.py`.
"""

import statistics
import subprocess
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import train
from benchmarks.generate import initial_snapshot, write_png_files
from benchmarks.isolated import Recorder
from benchmarks.loader import create_portraits
from benchmarks.report import describe_machine
from benchmarks.workload import (
    measure_seconds,
    stage_at,
    stay_at_resolution,
    time_blocks,
    with_variant,
)
from progan.config import Run
from progan.data.loader import prefetch_batches
from progan.data.reader import Dataset
from progan.runtime import devices
from progan.training.acceleration import accelerate, choose_acceleration
from progan.training.cuda_graph import WARM_UP_STEPS
from progan.training.state import TrainState, create_state
from progan.training.step import Steps
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs


def measure_machine(device: str, precisions: list[str], side: int, *, record: Recorder) -> None:
    """Record device, driver and versions, and two ceilings: matrix products and copies."""
    place = devices.choose_device(device)
    record(
        name="machine",
        device=devices.describe_device(place),
        machine=describe_machine(),
        **(_gpu() if place.type == "cuda" else {}),
    )
    record(name="copy", bytes_per_second=train.copy_bandwidth(place, side**2))
    for precision in precisions:
        record(name=precision, flop_per_second=train.matmul_flops(place, precision, side))


def _gpu() -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(0)
    return {
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": _driver(),
        "processors": properties.multi_processor_count,
        "capability": f"{properties.major}.{properties.minor}",
    }


def _driver() -> str:
    try:
        return subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({type(error).__name__})"


def time_steps(
    device: str,
    run: Run,
    resolution: int,
    ways: list[str],
    way_seconds: float,
    backend: str = "inductor",
    cudnn_benchmark: bool = False,
    *,
    record: Recorder,
) -> None:
    """Time an iteration at one resolution, fully faded in, in several variants.

    A way is 'acceleration-precision'. Its first iteration, which compiles, is recorded apart.

    Args:
        cudnn_benchmark: Let cuDNN choose its fastest algorithms by trial.
    """
    use_backend(backend)
    torch.backends.cudnn.benchmark = cudnn_benchmark
    place = devices.choose_device(device)
    for way in ways:
        if way not in record.done:
            _time_way(place, run, resolution, way, way_seconds, record)
            devices.release_memory(place)


def _time_way(
    device: torch.device, run: Run, resolution: int, way: str, way_seconds: float, record: Recorder
) -> None:
    messages: list[str] = []
    devices.reset_peak_memory(device)
    try:
        stage = stage_at(run, resolution)
        iterate = train.progan_contestant(run, stage, way, device, messages.append).iterate
        first = measure_seconds(iterate, device)
        taken = time_blocks(iterate, device, way_seconds)
    except (RuntimeError, MemoryError) as error:
        if not devices.is_out_of_memory(error):
            raise
        record(name=way, resolution=resolution, out_of_memory=True)
        return
    record(
        name=way, resolution=resolution, batch=stage.batch, first_seconds=first,
        cudnn_benchmark=torch.backends.cudnn.benchmark, seconds=taken,
        images_per_second=stage.batch / statistics.median(taken),
        peak_bytes=devices.peak_memory_bytes(device), messages=messages,
    )  # fmt: skip


def use_backend(name: str) -> None:
    """Make another backend of torch.compile the default: rehearsals use a fast one."""
    torch.compile = partial(torch.compile, backend=name)


def compile_steps(
    device: str,
    run: Run,
    resolution: int,
    precision: str,
    backend: str = "inductor",
    *,
    record: Recorder,
) -> None:
    """Compile an iteration into torch's cache on disk."""
    use_backend(backend)
    place, messages = devices.choose_device(device), list[str]()
    start = time.perf_counter()
    train.progan_contestant(
        run, stage_at(run, resolution), f"compile-{precision}", place, messages.append
    ).iterate()
    devices.synchronize(place)
    record(
        name=f"compile-{precision}",
        resolution=resolution,
        messages=messages,
        compile_seconds=time.perf_counter() - start,
    )


def time_peers(
    device: str,
    run: Run,
    resolution: int,
    checkouts: list[str],
    ways: list[str],
    way_seconds: float,
    *,
    record: Recorder,
) -> None:
    """Time iterations of other projects at the same widths and of this project, in turns."""
    place, stage = devices.choose_device(device), stage_at(run, resolution)
    contestants = [train.progan_contestant(run, stage, way, place) for way in ways]
    contestants += [
        train.peer_contestant(run, stage, Path(checkout), place) for checkout in checkouts
    ]
    times = train.time_in_turns(contestants, place, way_seconds)
    for name, taken in times.items():
        record(
            name=name,
            resolution=resolution,
            batch=stage.batch,
            seconds=taken,
            images_per_second=stage.batch / statistics.median(taken),
        )


def time_data(
    device: str,
    run: Run,
    resolution: int,
    images: int,
    way: str,
    way_seconds: float,
    *,
    record: Recorder,
) -> None:
    """Measure training speed and waiting time with images from files and from device memory."""
    place, run = (
        devices.choose_device(device),
        stay_at_resolution(with_variant(run, way), resolution),
    )
    devices.set_precision(run.precision)
    with tempfile.TemporaryDirectory() as folder:
        dataset = create_portraits(Path(folder) / "portraits", resolution, images, compress=False)
        for name, budget in (("files", 0), ("device memory", 2**40)):
            messages: list[str] = []
            steps = accelerate(choose_acceleration(run, place), messages.append)
            count, waited, taken = _train_for(
                way_seconds, create_state(run, place), run, dataset, budget, steps
            )
            record(
                name=name, resolution=resolution, batch=stage_at(run, resolution).batch, way=way,
                images_per_second=count / taken, data_wait=waited / taken, messages=messages,
            )  # fmt: skip


def _train_for(
    seconds: float, state: TrainState, run: Run, dataset: Dataset, budget: int, steps: Steps
) -> tuple[int, float, float]:
    """Train for some time; return images seen, seconds waited for them, and all seconds."""
    device = next(state.generator.parameters()).device
    stage = stage_at(run, dataset.resolution)
    position = LevelAlpha.of(stage, device)
    with closing(prefetch_batches(dataset, run, device, 0, budget_bytes=budget)) as batches:

        def iterate() -> None:
            batch = next(batches)
            d_inputs = discriminator_inputs(run, batch, position, state.images_seen)
            steps.discriminator(state, run, position, stage.d_lr, d_inputs)
            state.images_seen += stage.batch
            g_inputs = generator_inputs(run, batch, position, state.images_seen)
            steps.generator(state, run, position, stage.g_lr, g_inputs)

        for _ in range(WARM_UP_STEPS + 2):
            one = measure_seconds(iterate, device)
        batches.wait_seconds, count = 0.0, max(round(seconds / one), 2)
        taken = measure_seconds(iterate, device, count)
        return count * stage.batch, batches.wait_seconds, taken


def time_generation(
    device: str, run: Run, resolution: int, images: int, *, record: Recorder
) -> None:
    """Measure images per second of generate.py, with PNG files."""
    place = devices.choose_device(device)
    write = partial(write_png_files, initial_snapshot(run, resolution, place), images)
    write()
    taken = [measure_seconds(write, place) for _ in range(3)]
    record(
        name="with PNG files",
        resolution=resolution,
        images=images,
        seconds=taken,
        images_per_second=images / statistics.median(taken),
    )
