"""Time SWD and MS-SSIM beside a plain NumPy/SciPy transcription of their formulas.

    python benchmarks/metrics.py --json benchmarks/results/metrics.json

Both take turns, so that a machine whose speed drifts is unfair to neither. The transcription is
the one that the tests compare with (tests/reference/paper_metrics.py).
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import describe_machine, json_option, write_json
from metrics import ms_ssim, swd
from metrics.detector import MetricContext
from progan.data.portraits.generate import import_demo
from tests.builders import image_sample
from tests.reference import paper_metrics

OFFICIAL_SECONDS = {"swd": 12.1, "ms-ssim": 1.22}  # 256 images 128x128 a side, on two cores


@click.command()
@click.option("--count", default=256, show_default=True, help="Images on each side.")
@click.option("--resolution", default=128, show_default=True)
@click.option("--runs", default=7, show_default=True, help="Timed runs, after a warm-up.")
@json_option
def main(count: int, resolution: int, runs: int, json_file: Path | None) -> None:
    """Time the metrics of portraits and print minimum, median and maximum."""
    first, second = (generate_portraits(resolution, count, seed) for seed in (0, 1))
    context = MetricContext(seed=0, device=torch.device("cpu"))
    samples = image_sample(first), image_sample(second)
    pairs = first[0::2], first[1::2]
    results = [
        compare_speed(
            "swd", lambda: list(swd.measure(*samples, context).values())[:-1],
            lambda: paper_metrics.swd(first, second, 0), runs,
        ),
        compare_speed(
            "ms-ssim", lambda: ms_ssim.measure(samples[0], samples[0], context)["MS-SSIM"],
            lambda: float(paper_metrics.ms_ssim(*pairs).mean()), runs,
        ),
    ]  # fmt: skip
    if json_file is not None:
        record = {
            "machine": describe_machine(),
            "command": " ".join(["python", *sys.argv]),
            "count": count,
            "resolution": resolution,
            "results": results,
        }
        write_json(json_file, record)


def generate_portraits(resolution: int, count: int, seed: int) -> np.ndarray:
    """Generate uint8 [count, 3, resolution, resolution]."""
    source = import_demo(resolution=resolution, num_images=count, seed=seed)
    return np.stack([source.read(row).image for row in range(count)]).transpose(0, 3, 1, 2)


def compare_speed(
    name: str, ours: Callable[[], Any], plain: Callable[[], Any], runs: int
) -> dict[str, Any]:
    """Time both in turns, and print times and results."""
    values, times = {}, {"ours": [], "plain": []}
    for run in range(runs + 1):
        for kind, function in (("ours", ours), ("plain", plain)):
            start = time.perf_counter()
            values[kind] = function()
            if run:
                times[kind].append(time.perf_counter() - start)
    medians = {kind: statistics.median(seconds) for kind, seconds in times.items()}
    for kind, seconds in times.items():
        click.echo(
            f"{name:8} {kind:6} {min(seconds):7.3f} {medians[kind]:7.3f} "
            f"{max(seconds):7.3f} s   {values[kind]}"
        )
    ratio, official = medians["plain"] / medians["ours"], OFFICIAL_SECONDS[name] / medians["ours"]
    click.echo(
        f"{name:8} {ratio:.1f} times as fast as the transcription; the official code's "
        f"{OFFICIAL_SECONDS[name]} s, measured elsewhere, are {official:.1f} times ours"
    )
    return {"metric": name, "seconds": times, "values": values, "ratio": ratio}


if __name__ == "__main__":
    main()
