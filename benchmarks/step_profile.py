"""What an iteration spends its time on at each resolution.

    python benchmarks/step_profile.py                          all levels of v2-1gpu
    python benchmarks/step_profile.py --resolutions 16,64 --batch 4

torch's profiler watches a few eager iterations, fully faded in, on noise. Its operations are
summed by what they are for. On a GPU the time is that of its kernels, and `idle` what is left of
an iteration without the profiler: the time in which the GPU waits to be told what to do. Results
go to benchmarks/results/profile-<device>.json and .md.
"""

import statistics
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import torch
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import circumstances, page, require_place, save  # noqa: E402
from benchmarks.train import ours, stages_of  # noqa: E402
from progan.command import Command, device_option  # noqa: E402
from progan.config import Run  # noqa: E402
from progan.runtime import devices  # noqa: E402
from progan.runtime.torch_settings import set_cpu_threads, set_omp_passive  # noqa: E402
from progan.schedule import Stage  # noqa: E402
from progan.training.plan import table  # noqa: E402

PLACE = click.Path(path_type=Path)
# By words in the names of operations; the first one that fits.
PURPOSES = {
    "convolutions": ("conv",),
    "products": ("mm", "linear", "dot"),
    "optimizers, average": ("_fused_adam", "_foreach_lerp", "vector_norm"),
    "copies, layouts": (
        "copy",
        "clone",
        "cat",
        "pad",
        "flip",
        "stack",
        "index",
        "fill",
        "zero",
        "ones",
        "empty",
        "contiguous",
    ),
    "sums": ("sum", "mean", "var", "std", "cumsum"),
    "pointwise": ("",),
}


@click.command(cls=Command)
@click.option("--preset", default="v2-1gpu", show_default=True)
@click.option("--resolutions", help="Some of the preset's, e.g. 16,64; all if not given.")
@click.option("--batch", type=click.IntRange(1), help="Another batch than the preset's.")
@click.option("--precision", default="fp32", show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads; 0: as torch chooses."
)
@device_option
@click.option("--output", type=PLACE, help="Where the results go, without suffix.")
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
    """Tell what iterations spend their time on."""
    require_place(output)
    set_omp_passive()
    set_cpu_threads(threads)
    chosen = devices.choose_device(device)
    run, stages = stages_of(preset, resolutions, batch)
    result = circumstances("step_profile", devices.describe_device(chosen), preset) | {
        "precision": precision,
        "levels": [],
    }
    for stage in stages:
        result["levels"].append(level(run, stage, precision, chosen, iterations))
        click.echo(table([HEADINGS, *map(cells, result["levels"][-1:])]))
    what = f"Eager {precision}. Shares of the time of all operations."
    save("profile", result, page(result, what, HEADINGS, map(cells, result["levels"])), output)


def level(
    run: Run, stage: Stage, precision: str, device: torch.device, iterations: int
) -> dict[str, Any]:
    """Seconds of an iteration by purpose, and how many operations it takes."""
    iterate = ours(run, stage, f"eager-{precision}", device).iterate
    for _ in range(2):
        iterate()
    taken = [seconds(iterate, device) for _ in range(iterations)]
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
        name for name, words in PURPOSES.items() if any(each in operation for each in words)
    )


def seconds(work: Any, device: torch.device) -> float:
    devices.synchronize(device)
    start = time.perf_counter()
    work()
    devices.synchronize(device)
    return time.perf_counter() - start


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
