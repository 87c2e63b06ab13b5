"""Profile a training iteration at each resolution.

    python benchmarks/step_profile.py                          all levels of v2-1gpu
    python benchmarks/step_profile.py --resolutions 16,64 --batch 4

torch's profiler records a few eager iterations, fully faded in, on noise. Its operations are summed
by purpose. On a GPU the time is that of its kernels, and `idle` the rest of an iteration without
the profiler, in which the GPU waits for launches. Results go to
benchmarks/results/profile-<device>.json and .md.
"""

import statistics
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click
import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import (
    batch_option,
    describe_run,
    format_page,
    output_option,
    prepare,
    preset_option,
    resolutions_option,
    save_results,
    threads_option,
)
from benchmarks.train import progan_contestant, stages_of
from benchmarks.workload import measure_seconds
from progan.command import Command, device_option
from progan.config import Run
from progan.runtime import devices
from progan.runtime.text import format_table
from progan.schedule import Stage

COPIES = "copy clone cat pad flip stack index fill zero ones empty contiguous"
# The first purpose of which a word is in the name of an operation.
PURPOSES = {
    "convolutions": ("conv",),
    "products": ("mm", "linear", "dot"),
    "optimizers, average": ("_fused_adam", "_foreach_lerp", "vector_norm"),
    "copies, layouts": tuple(COPIES.split()),
    "sums": ("sum", "mean", "var", "std", "cumsum"),
    "pointwise": ("",),
}


@click.command(cls=Command)
@preset_option
@resolutions_option
@batch_option
@click.option("--precision", default="fp32", show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=3, show_default=True)
@threads_option
@device_option
@output_option
def main(
    preset: str,
    resolutions: str | None,
    batch: int | None,
    precision: str,
    iterations: int,
    threads: int,
    device: str,
    output: Path | None,
) -> None:
    """Print the shares of purposes of the time of iterations."""
    chosen = prepare(device, output, threads)
    run, stages = stages_of(preset, resolutions, batch)
    result = describe_run("step_profile", chosen, preset) | {"precision": precision, "levels": []}
    for stage in stages:
        result["levels"].append(level(run, stage, precision, chosen, iterations))
        click.echo(format_table([HEADINGS, *map(cells, result["levels"][-1:])]))
    what = f"Eager {precision}. Shares of the time of all operations."
    save_results(
        "profile", result, format_page(result, what, HEADINGS, map(cells, result["levels"])), output
    )


def level(
    run: Run, stage: Stage, precision: str, device: torch.device, iterations: int
) -> dict[str, Any]:
    """Seconds of an iteration by purpose, and how many operations it takes."""
    iterate = progan_contestant(run, stage, f"eager-{precision}", device).iterate
    for _ in range(2):
        iterate()
    taken = [measure_seconds(iterate, device) for _ in range(iterations)]
    on_gpu = device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]) as watched:
        for _ in range(iterations):
            iterate()
        devices.synchronize(device)
    spent, operations = Counter[str](), 0
    for event in watched.key_averages():
        if event.key.startswith("aten::"):
            microseconds = event.self_device_time_total if on_gpu else event.self_cpu_time_total
            spent[purpose(event.key)] += microseconds
            operations += event.count
    whole = statistics.median(taken)
    by_purpose = {name: spent[name] / 1e6 / iterations for name in PURPOSES}
    return {
        "resolution": stage.resolution,
        "batch": stage.batch,
        "seconds": whole,
        "by_purpose": by_purpose,
        "operations": round(operations / iterations),
        "idle": max(whole - sum(by_purpose.values()), 0.0) if on_gpu else None,
    }


def purpose(operation: str) -> str:
    return next(
        name for name, parts in PURPOSES.items() if any(part in operation for part in parts)
    )


HEADINGS = ("resolution", "batch", "ms", "operations", *PURPOSES, "idle")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    whole = sum(row["by_purpose"].values()) + (row["idle"] or 0.0)
    milliseconds = 1000 * row["seconds"]
    return (
        str(row["resolution"]),
        str(row["batch"]),
        f"{milliseconds:.1f}" if milliseconds < 100 else f"{milliseconds:,.0f}",
        str(row["operations"]),
        *(f"{100 * spent / whole:.0f} %" for spent in row["by_purpose"].values()),
        "-" if row["idle"] is None else f"{100 * row['idle'] / whole:.0f} %",
    )


if __name__ == "__main__":
    main()
