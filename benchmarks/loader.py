"""Time how images reach the device: read from files, streamed in batches, or resident there.

    python benchmarks/loader.py                          portraits, up to 256x256
    python benchmarks/loader.py --data datasets/mine     a dataset of yours
    python benchmarks/loader.py --compress               portraits, with 256x256 as lossless WebP

`read` is the reading alone, of random rows, `decode` the same where the level is compressed.
`streamed` and `resident` are what a training gets from its thread that reads ahead, which takes
batches from the files, or gathers them on the device from a level that was read before; a level
that needs more than half of the free memory is streamed only. All take turns; medians and
quartiles of the turns are written. The files are in the system's cache after the first turn, so a
disk is not measured. Results go to benchmarks/results/loader-<device>.json and .md.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import (
    PATH,
    SECONDS,
    describe_run,
    format_page,
    output_option,
    prepare,
    save_results,
)
from benchmarks.train import quartiles
from benchmarks.workload import stay_at_resolution
from progan import presets, schedule
from progan.command import Command, device_option
from progan.config import Run
from progan.data.loader import MAX_PREFETCHED, prefetch_batches
from progan.data.portraits.generate import import_demo
from progan.data.reader import Dataset
from progan.data.writer import write_dataset
from progan.runtime import devices
from progan.runtime.text import format_table
from progan.schedule import Stage


@dataclass(frozen=True, slots=True)
class BatchSource:
    """A source of batches of one level."""

    name: str
    take: Callable[[], object]
    ahead: int = 0  # batches that may be prefetched before its turn
    load_seconds: float | None = None  # once, before the first batch


# fmt: off
@click.command(cls=Command)
@click.option("--preset", default="v2-1gpu", show_default=True, help="Gives the batch sizes.")
@click.option("--data", type=PATH, help="A dataset; generated portraits if not given.")
@click.option("--resolution", default=256, show_default=True, help="The highest one.")
@click.option("--images", type=click.IntRange(1), default=400, show_default=True,
    help="Number of portraits to generate.")
@click.option("--compress", is_flag=True, help="Compress the portraits above 128x128.")
@click.option("--runs", type=click.IntRange(3), default=7, show_default=True, help="Turns.")
@click.option("--seconds", type=SECONDS, default=0.3, show_default=True,
    help="Length of each turn.")
@device_option
@output_option
# fmt: on
def main(
    preset: str,
    data: Path | None,
    resolution: int,
    images: int,
    compress: bool,
    runs: int,
    seconds: float,
    device: str,
    output: Path | None,
) -> None:
    """Time the sources of images at each resolution."""
    chosen, run = prepare(device, output), presets.preset(preset)
    with tempfile.TemporaryDirectory() as folder:
        highest, dest = min(resolution, run.network.resolution), Path(folder) / "portraits"
        dataset = Dataset.open(data) if data else create_portraits(dest, highest, images, compress)
        result = describe_run("loader", chosen, preset) | {
            "dataset": {
                "name": dataset.name,
                "images": len(dataset.training_rows),
                "channels": dataset.channels,
            },
            "levels": [],
        }
        for stage in dataset_stages(run, dataset, resolution):
            flat = stay_at_resolution(run, stage.resolution)
            rows = list(level_rows(flat, stage, dataset, chosen, runs, seconds))
            result["levels"] += rows
            click.echo(format_table([HEADINGS, *map(cells, rows)]))
    what = (
        f"{result['dataset']['images']} images of {dataset.name}, {runs} turns. Files are in "
        "the system's cache."
    )
    save_results(
        "loader", result, format_page(result, what, HEADINGS, map(cells, result["levels"])), output
    )


def create_portraits(dest: Path, resolution: int, count: int, compress: bool) -> Dataset:
    """Create a dataset of generated portraits."""
    source = import_demo(resolution=resolution, num_images=count, seed=0)
    write_dataset(source, dest, options={}, compress=compress)
    return Dataset.open(dest)


def dataset_stages(run: Run, dataset: Dataset, resolution: int) -> list[Stage]:
    """Return the stages of the preset that the dataset has a level for, without fades."""
    return [
        phase.stage
        for phase in schedule.iterate_phases(run.growth, run.network)
        if not phase.stage.fading
        and phase.stage.level in dataset.info.levels
        and phase.stage.resolution <= resolution
    ]


def level_rows(
    run: Run, stage: Stage, dataset: Dataset, device: torch.device, runs: int, seconds: float
) -> Iterator[dict[str, Any]]:
    """Time all sources of a level."""
    image_bytes = dataset.info.size(stage.level).pixels * dataset.channels
    level_bytes, free = image_bytes * len(dataset.training_rows), devices.free_memory_bytes(device)
    budgets = {"streamed": 0}
    if free is None or level_bytes <= free // 2:
        budgets["resident"] = level_bytes
    with ExitStack() as threads:
        sources = [
            file_source(dataset, stage),
            *(
                read_ahead_source(run, dataset, device, name, budget, threads)
                for name, budget in budgets.items()
            ),
        ]
        speeds = speeds_in_turns(sources, stage.batch, runs, seconds)
    for source in sources:
        speed = statistics.median(speeds[source.name])
        yield {
            "resolution": stage.resolution,
            "batch": stage.batch,
            "name": source.name,
            "images_per_second": {
                "median": speed,
                "quartiles": quartiles(speeds[source.name]),
                "turns": runs,
            },
            "megabytes_per_second": speed * image_bytes / 1e6,
            "load_seconds": source.load_seconds,
        }


def file_source(dataset: Dataset, stage: Stage) -> BatchSource:
    """Return the source that reads random rows from the files in this thread."""
    random, rows = np.random.default_rng(0), dataset.training_rows
    return BatchSource(
        "decode" if stage.level in dataset.info.webp_bytes else "read",
        lambda: dataset.images(stage.level, random.choice(rows, stage.batch)),
    )


def read_ahead_source(
    run: Run, dataset: Dataset, device: torch.device, name: str, budget: int, threads: ExitStack
) -> BatchSource:
    """Return the source of a training that may cache images in `budget` bytes of device memory."""
    start = time.perf_counter()
    batches = threads.enter_context(
        closing(prefetch_batches(dataset, run, device, 0, budget_bytes=budget))
    )
    next(batches)
    loaded = time.perf_counter() - start if budget else None
    return BatchSource(name, lambda: next(batches), MAX_PREFETCHED + 2, loaded)


def speeds_in_turns(
    sources: list[BatchSource], batch: int, runs: int, seconds: float
) -> dict[str, list[float]]:
    """Time all sources in turns; return images per second of each turn after a warm-up."""
    speeds: dict[str, list[float]] = {source.name: [] for source in sources}
    for turn in range(runs + 1):
        for source in sources:
            speed = images_per_second(source, batch, seconds)
            if turn:
                speeds[source.name].append(speed)
    return speeds


def images_per_second(source: BatchSource, batch: int, seconds: float) -> float:
    for _ in range(source.ahead):
        source.take()
    start, count, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < seconds:
        source.take()
        count, elapsed = count + batch, time.perf_counter() - start
    time.sleep(source.ahead * batch * elapsed / count)  # until its thread has prefetched again
    return count / elapsed


HEADINGS = ("resolution", "batch", "", "img/s", "quartiles", "MB/s", "read once")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    speed, loaded = row["images_per_second"], row["load_seconds"]
    low, high = speed["quartiles"]
    return (
        str(row["resolution"]), str(row["batch"]), row["name"], f"{speed['median']:,.0f}",
        f"{low:,.0f} to {high:,.0f}", f"{row['megabytes_per_second']:,.0f}",
        "" if loaded is None else f"{loaded:.2g} s",
    )  # fmt: skip


if __name__ == "__main__":
    main()
