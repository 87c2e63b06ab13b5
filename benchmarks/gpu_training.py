"""A real training in the minutes that are left: the part `training` of `benchmarks/gpu.py`.

Portraits are drawn, a schedule is chosen that fits the time, and train.py and generate.py make what
a reader wants to see: a grid of pictures, how they became better, and SWD over time.
"""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import train
from benchmarks.gpu_speed import time_blocks
from benchmarks.isolated import Record, last_line
from benchmarks.settings import in_way, stages
from progan import presets, schedule
from progan.config import Run, override
from progan.errors import UserError
from progan.runtime import devices
from progan.training.run_length import scale_schedule

ROOT = Path(__file__).resolve().parents[1]
PRESET = "demo"
START_SECONDS = 20.0  # of train.py and generate.py, beside the training itself
GROWTH = 1.05  # from one total that is tried to the next
SPEED_MARGIN = 0.75  # ticks, pictures and metrics take time, too


def draw_portraits(
    dest: str,
    resolution: int,
    images: int,
    workers: int,
    *,
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Draw the dataset of the training, if it is not there."""
    start = time.perf_counter()
    _draw(dest, resolution, images, workers)
    record(
        name="portraits",
        resolution=resolution,
        images=images,
        seconds=[time.perf_counter() - start],
    )


def _draw(dest: str, resolution: int, images: int, workers: int) -> None:
    if not (Path(dest) / "dataset.json").is_file():
        _call(
            "dataset_tool.py",
            "create-demo",
            "--dest",
            dest,
            "--resolution",
            resolution,
            "--num-images",
            images,
            "--workers",
            workers,
        )


def train_portraits(
    device: str,
    data: str,
    images: int,
    workers: int,
    output: str,
    options: Mapping[str, Any],
    resolutions: list[int],
    worthwhile_kimg: float,
    way: str,
    metric: str,
    grid: str,
    probe_seconds: float,
    most_seconds: float,
    *,
    record: Record,
    seconds: float,
    done: frozenset[str],
) -> None:
    """Train for as long as there is time, and write pictures and curves to `output`.

    Args:
        resolutions: To choose from: the first that there is time for `worthwhile_kimg` of, or the
            last.
        options: Settings of the run, besides those of the preset.
        metric: As in train.py, e.g. 'swd2000'.
        grid: COLSxROWS of the pictures.
    """
    seconds = min(seconds, most_seconds)
    end = time.monotonic() + seconds
    _draw(data, max(resolutions), images, workers)
    place = devices.choose_device(device)
    for resolution in resolutions:
        run = in_way(override(presets.preset(PRESET), {**options, "resolution": resolution}), way)
        speeds = _probe(run, place, probe_seconds)
        usable = max(end - time.monotonic() - START_SECONDS * min(seconds / 60, 1), 1.0)
        kimg = affordable_kimg(run, speeds, usable * SPEED_MARGIN)
        if kimg >= worthwhile_kimg:
            break
    record(name="plan", resolution=resolution, images_per_second=speeds, total_kimg=kimg)
    with tempfile.TemporaryDirectory() as runs:
        start = time.perf_counter()
        _call(
            "train.py",
            "--data",
            data,
            "--outdir",
            runs,
            "--preset",
            PRESET,
            "--device",
            device,
            "--resolution",
            resolution,
            "--total-kimg",
            kimg,
            "--scale-schedule",
            "--max-hours",
            usable / 3600,
            "--metrics",
            metric,
            "--acceleration",
            run.acceleration,
            "--precision",
            run.precision,
            *(
                word
                for name, value in options.items()
                for word in (f"--{name.replace('_', '-')}", value)
            ),
            allowed=(0, 75),
        )
        taken = time.perf_counter() - start
        (directory,) = Path(runs).iterdir()
        record(
            name="run",
            resolution=resolution,
            total_kimg=kimg,
            seconds=[taken],
            stats=_stats(directory),
            metrics=_metrics(directory),
        )
        _deliver(directory, Path(output), device, grid)


def _probe(run: Run, device: torch.device, seconds: float) -> dict[int, float]:
    """Images per second by resolution, each from a short measurement."""
    speeds = {}
    for resolution, stage in stages(run).items():
        iterate = train.ours(
            run, stage, f"{run.acceleration}-{run.precision}", device, lambda line: None
        ).iterate
        speeds[resolution] = stage.batch / statistics.median(time_blocks(iterate, device, seconds))
    return speeds


def affordable_kimg(run: Run, images_per_second: Mapping[int, float], seconds: float) -> float:
    """How many thousand images a run can see in some seconds, its phases scaled to them.

    At least so many that every resolution is trained.
    """
    affordable, kimg = 0.0, run.growth.batch / 1000
    while True:
        total = float(f"{kimg:.4g}")
        try:
            if seconds_of(run, total, images_per_second) > seconds and affordable:
                return affordable
            affordable = total
        except UserError:  # too short for every resolution to be trained
            pass
        kimg *= GROWTH


def seconds_of(run: Run, kimg: float, images_per_second: Mapping[int, float]) -> float:
    """What a run of so many thousand images takes, its phases scaled to them."""
    growth = scaled(run, kimg).growth
    return sum(
        1000 * (phase.end_kimg - phase.start_kimg) / images_per_second[phase.stage.resolution]
        for phase in schedule.phases(growth, run.network)
    )


def scaled(run: Run, kimg: float) -> Run:
    """The run with its phases scaled to a total, as train.py --scale-schedule does."""
    return scale_schedule(override(run, {"total_kimg": kimg}), ())


def _stats(directory: Path) -> list[dict[str, Any]]:
    """Progress, speed and losses of each tick."""
    wanted = (
        "progress/kimg",
        "progress/hours",
        "schedule/resolution",
        "speed/images-per-second",
        "speed/data-wait-percent",
        "scores/real",
        "scores/fake",
    )
    return [
        {name: row[name] for name in wanted if name in row}
        for row in map(json.loads, (directory / "stats.jsonl").read_text("utf-8").splitlines())
    ]


def _metrics(directory: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(directory.glob("metric-*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]


def _deliver(directory: Path, output: Path, device: str, grid: str) -> None:
    """Copy what a page needs: pictures, curves and the network."""
    output.mkdir(parents=True, exist_ok=True)
    columns, rows = map(int, grid.split("x"))
    newest = max(directory.glob("network-snapshot-*.safetensors"))
    _call(
        "generate.py",
        "--network",
        newest,
        "--seeds",
        f"0-{columns * rows - 1}",
        "--grid",
        grid,
        "--outdir",
        output,
        "--device",
        device,
    )
    shutil.copy(newest, output)
    # A training that was cut before its first tick has no fakes but the initial ones.
    fakes = sorted(directory.glob("fakes-0*.png")) or [directory / "fakes-init.png"]
    shutil.copy(fakes[-1], output)
    for name in ("reals.png", "stats.jsonl", "log.txt"):
        shutil.copy(directory / name, output)


def _call(script: str, *arguments: object, allowed: Sequence[int] = (0,)) -> None:
    """Run one of the project's commands; RuntimeError with what it said if it fails."""
    finished = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode not in allowed:
        raise RuntimeError(
            f"{script} ended with exit code {finished.returncode}: {last_line(finished.stderr)}"
        )
