"""What `benchmarks/gpu.py` times: the ceilings of the machine, steps, data, pictures.

Every function is a task of `benchmarks/isolated.py`.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import train
from benchmarks.isolated import Record
from benchmarks.loader import portraits
from benchmarks.metrics import machine
from benchmarks.settings import at_level, in_way, narrowed, stage_at
from progan import networks
from progan.config import Run
from progan.data.loader import prefetch_batches
from progan.data.reader import Dataset
from progan.runtime import devices
from progan.sampling.image_files import ImageOutput, write_images
from progan.sampling.latents import batch_from_seeds
from progan.sampling.network_file import Snapshot
from progan.training.acceleration import accelerated, chosen
from progan.training.cuda_graph import WARM_UP_STEPS
from progan.training.state import TrainState, create, initialize
from progan.training.step import (
    PLAIN_STEPS,
    LevelAlpha,
    Steps,
    discriminator_inputs,
    generator_inputs,
)

BLOCKS = 5  # each is timed as a whole, as training waits for nothing between iterations


def describe_machine(
    device: str,
    precisions: list[str],
    side: int,
    *,
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Device, driver and versions, and two ceilings: products of matrices and copies."""
    place = devices.choose_device(device)
    record(
        name="machine",
        device=devices.describe_device(place),
        machine=machine(),
        **(_gpu() if place.type == "cuda" else {}),
    )
    record(name="copy", bytes_per_second=train.copying_bytes_per_second(place, side**2))
    for precision in precisions:
        record(name=precision, flop_per_second=train.ceiling(place, precision, side))


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
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Time an iteration at one resolution, fully faded in, in several ways.

    A way is 'acceleration-precision'. Its first iteration is told apart: it compiles.

    Args:
        cudnn_benchmark: Let cuDNN try which of its algorithms is the fastest.
    """
    use_backend(backend)
    torch.backends.cudnn.benchmark = cudnn_benchmark
    place = devices.choose_device(device)
    for way in ways:
        if way not in done:
            _time_way(place, run, resolution, way, way_seconds, record)
            devices.release_memory(place)


def _time_way(
    device: torch.device, run: Run, resolution: int, way: str, way_seconds: float, record: Record
) -> None:
    told: list[str] = []
    devices.reset_peak_memory(device)
    try:
        stage = stage_at(run, resolution)
        iterate = train.ours(run, stage, way, device, told.append).iterate
        first = elapsed(iterate, device)
        taken = time_blocks(iterate, device, way_seconds)
    except (RuntimeError, MemoryError) as error:
        if not devices.is_out_of_memory(error):
            raise
        record(name=way, resolution=resolution, out_of_memory=True)
        return
    record(
        name=way,
        resolution=resolution,
        batch=stage.batch,
        first_seconds=first,
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        seconds=taken,
        images_per_second=stage.batch / statistics.median(taken),
        peak_bytes=devices.peak_memory_bytes(device),
        told=told,
    )


def elapsed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that some work takes."""
    devices.synchronize(device)
    start = time.perf_counter()
    work()
    devices.synchronize(device)
    return time.perf_counter() - start


def time_blocks(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Seconds of one `work`, as the means of blocks of equal length, after some to get warm."""
    for _ in range(WARM_UP_STEPS + 1):
        one = elapsed(work, device)
    count = max(round(seconds / BLOCKS / one), 1)
    return [elapsed(partial(_repeat, work, count), device) / count for _ in range(BLOCKS)]


def _repeat(work: Callable[[], object], count: int) -> None:
    for _ in range(count):
        work()


def use_backend(name: str) -> None:
    """Compile with another backend of torch from now on: rehearsals take one that is fast."""
    torch.compile = partial(torch.compile, backend=name)


def compile_steps(
    device: str,
    run: Run,
    resolution: int,
    precision: str,
    backend: str = "inductor",
    *,
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Compile an iteration, which leaves the code in torch's cache on disk."""
    use_backend(backend)
    place, told = devices.choose_device(device), list[str]()
    start = time.perf_counter()
    train.ours(run, stage_at(run, resolution), f"compile-{precision}", place, told.append).iterate()
    devices.synchronize(place)
    record(
        name=f"compile-{precision}",
        resolution=resolution,
        told=told,
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
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Time an iteration of other projects at our widths, and ours beside them, in turns."""
    place, stage = devices.choose_device(device), stage_at(run, resolution)
    contestants = [train.ours(run, stage, way, place) for way in ways]
    contestants += [train.other(run, stage, Path(checkout), place) for checkout in checkouts]
    times = train.in_turns(contestants, place, way_seconds)
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
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Train from files, and from the memory of the device, and see how long steps wait."""
    place, run = devices.choose_device(device), at_level(in_way(run, way), resolution)
    devices.set_precision(run.precision)
    with tempfile.TemporaryDirectory() as folder:
        dataset = portraits(Path(folder) / "portraits", resolution, images, compress=False)
        for name, budget in (("files", 0), ("device memory", 2**40)):
            told: list[str] = []
            steps = accelerated(PLAIN_STEPS, chosen(run, place), told.append)
            count, waited, taken = _train_for(
                way_seconds, create(run, place), run, dataset, budget, steps
            )
            record(
                name=name,
                resolution=resolution,
                batch=stage_at(run, resolution).batch,
                way=way,
                images_per_second=count / taken,
                data_wait=waited / taken,
                told=told,
            )


def _train_for(
    seconds: float, state: TrainState, run: Run, dataset: Dataset, budget: int, steps: Steps
) -> tuple[int, float, float]:
    """Train for some time; images seen, seconds waited for them, and seconds in all."""
    device = next(state.generator.parameters()).device
    stage = stage_at(run, dataset.resolution)
    position = LevelAlpha.of(stage, device)
    with closing(prefetch_batches(dataset, run, device, 0, budget_bytes=budget)) as batches:

        def iterate() -> None:
            batch = next(batches)
            steps.discriminator(
                state,
                run,
                position,
                stage.d_lr,
                discriminator_inputs(run, batch, position, state.images_seen),
            )
            state.images_seen += stage.batch
            steps.generator(
                state,
                run,
                position,
                stage.g_lr,
                generator_inputs(run, batch, position, state.images_seen),
            )

        for _ in range(WARM_UP_STEPS + 2):
            one = elapsed(iterate, device)
        batches.wait_seconds, count = 0.0, max(round(seconds / one), 2)
        taken = elapsed(partial(_repeat, iterate, count), device)
        return count * stage.batch, batches.wait_seconds, taken


def time_pictures(
    device: str,
    run: Run,
    resolution: int,
    images: int,
    *,
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Pictures per second of generate.py: the passes, and with PNG files."""
    place = devices.choose_device(device)
    devices.set_deterministic()
    network = narrowed(run, resolution).network
    generator = networks.generator(network)
    initialize(generator, 0, "generator")
    generator.to(place).requires_grad_(False).eval()
    snapshot = Snapshot(generator=generator, level=network.max_level, alpha=1.0, images_seen=0)
    wish = batch_from_seeds(snapshot, f"0-{images - 1}")

    def write(folder: str) -> None:
        for _ in write_images(snapshot, wish, ImageOutput(folder=Path(folder))):
            pass

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        write(folder)
        taken = [elapsed(partial(write, folder), place) for _ in range(3)]
    record(
        name="with PNG files",
        resolution=resolution,
        images=images,
        seconds=taken,
        images_per_second=images / statistics.median(taken),
    )
