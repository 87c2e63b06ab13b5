"""A real training in the minutes that are left: the part `training` of `benchmarks/gpu.py`.

Portraits are generated, a schedule is chosen that fits the time, and train.py and generate.py make
a grid of images and SWD over time.
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
from benchmarks.gpu_plan import PortraitDataset, TrainingSettings
from benchmarks.isolated import Recorder, last_line
from benchmarks.report import ROOT
from benchmarks.workload import stages_by_resolution, time_blocks, with_variant
from progan import presets, schedule
from progan.config import Run, override
from progan.errors import UserError
from progan.runtime import devices
from progan.training.run_length import scale_schedule

PRESET = "demo"
START_SECONDS = 20.0  # train.py and generate.py, besides the training itself
GROWTH = 1.05  # ratio of consecutive candidates for the total
SPEED_MARGIN = 0.75  # ticks, sample grids and metrics take time, too


def create_dataset(dataset: PortraitDataset, *, record: Recorder) -> None:
    """Create the dataset of the training, if it is missing."""
    start = time.perf_counter()
    _create_dataset(dataset)
    record(
        name="portraits",
        resolution=dataset.resolution,
        images=dataset.images,
        seconds=[time.perf_counter() - start],
    )


def _create_dataset(dataset: PortraitDataset) -> None:
    if not (dataset.path / "dataset.json").is_file():
        options = ["--resolution", dataset.resolution, "--num-images", dataset.images]
        options += ["--workers", dataset.workers]
        _call("dataset_tool.py", "create-demo", "--dest", dataset.path, *options)


def train_portraits(settings: TrainingSettings, *, record: Recorder) -> None:
    """Train for as long as there is time, and write images and curves to the output folder."""
    seconds = min(record.seconds, settings.most_seconds)
    end = time.monotonic() + seconds
    _create_dataset(settings.dataset)
    device = devices.choose_device(settings.device)
    for resolution in settings.resolutions:
        options = {**settings.options, "resolution": resolution}
        run = with_variant(override(presets.preset(PRESET), options), settings.way)
        speeds = _measure_speeds(run, device, settings.probe_seconds)
        usable = max(end - time.monotonic() - START_SECONDS * min(seconds / 60, 1), 1.0)
        kimg = affordable_kimg(run, speeds, usable * SPEED_MARGIN)
        if kimg >= settings.worthwhile_kimg:
            break
    record(name="plan", resolution=resolution, images_per_second=speeds, total_kimg=kimg)
    with tempfile.TemporaryDirectory() as runs:
        start = time.perf_counter()
        _train(settings, run, kimg, usable / 3600, Path(runs))
        taken = time.perf_counter() - start
        (directory,) = Path(runs).iterdir()
        record(
            name="run", resolution=resolution, total_kimg=kimg, seconds=[taken],
            stats=_stats(directory), metrics=_metrics(directory),
        )  # fmt: skip
        _copy_results(directory, settings)


def _train(settings: TrainingSettings, run: Run, kimg: float, hours: float, outdir: Path) -> None:
    options = {
        "data": settings.dataset.path,
        "outdir": outdir,
        "preset": PRESET,
        "device": settings.device,
        "resolution": run.network.resolution,
        "total-kimg": kimg,
        "max-hours": hours,
        "metrics": settings.metric,
        "acceleration": run.acceleration,
        "precision": run.precision,
    } | {name.replace("_", "-"): value for name, value in settings.options.items()}
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    _call("train.py", "--scale-schedule", *arguments, allowed=(0, 75))


def _measure_speeds(run: Run, device: torch.device, seconds: float) -> dict[int, float]:
    """Return images per second by resolution, each from a short measurement."""
    speeds = {}
    for resolution, stage in stages_by_resolution(run).items():
        iterate = train.progan_contestant(
            run, stage, f"{run.acceleration}-{run.precision}", device, lambda line: None
        ).iterate
        speeds[resolution] = stage.batch / statistics.median(time_blocks(iterate, device, seconds))
    return speeds


def affordable_kimg(run: Run, images_per_second: Mapping[int, float], seconds: float) -> float:
    """Return the thousands of images that a run with a scaled schedule can see in some seconds.

    At least so many that every resolution is trained.
    """
    affordable, kimg = 0.0, run.growth.batch / 1000
    while True:
        total = float(f"{kimg:.4g}")
        try:
            if estimate_seconds(run, total, images_per_second) > seconds and affordable:
                return affordable
            affordable = total
        except UserError:  # too short for every resolution to be trained
            pass
        kimg *= GROWTH


def estimate_seconds(run: Run, kimg: float, images_per_second: Mapping[int, float]) -> float:
    """Return the seconds of a run of so many thousand images, with a scaled schedule."""
    growth = scale_to_kimg(run, kimg).growth
    return sum(
        1000 * (phase.end_kimg - phase.start_kimg) / images_per_second[phase.stage.resolution]
        for phase in schedule.iterate_phases(growth, run.network)
    )


def scale_to_kimg(run: Run, kimg: float) -> Run:
    """Return the run with its phases scaled to a total, as train.py --scale-schedule does."""
    return scale_schedule(override(run, {"total_kimg": kimg}), ())


def _stats(directory: Path) -> list[dict[str, Any]]:
    """Return progress, speed and scores of each tick."""
    wanted = (
        "progress/kimg", "progress/hours", "schedule/resolution", "speed/images-per-second",
        "speed/data-wait-percent", "scores/real", "scores/fake",
    )  # fmt: skip
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


def _copy_results(directory: Path, settings: TrainingSettings) -> None:
    """Generate a grid, and copy sample grids, curves, log and network to the output folder."""
    output = settings.output
    output.mkdir(parents=True, exist_ok=True)
    columns, rows = map(int, settings.grid.split("x"))
    newest = max(directory.glob("network-snapshot-*.safetensors"))
    options = ["--seeds", f"0-{columns * rows - 1}", "--grid", settings.grid]
    options += ["--outdir", output, "--device", settings.device]
    _call("generate.py", "--network", newest, *options)
    # A training that was cut before its first tick has no fakes but the initial ones.
    fakes = sorted(directory.glob("fakes-0*.png")) or [directory / "fakes-init.png"]
    files = [directory / name for name in ("reals.png", "stats.jsonl", "log.txt")]
    for file in (newest, fakes[-1], *files):
        shutil.copy(file, output)


def _call(script: str, *arguments: object, allowed: Sequence[int] = (0,)) -> None:
    """Run a script of the project; raises RuntimeError with the last line of its errors."""
    finished = subprocess.run(
        [sys.executable, str(ROOT / script), *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode not in allowed:
        raise RuntimeError(
            f"{script} failed with exit code {finished.returncode}: {last_line(finished.stderr)}"
        )
