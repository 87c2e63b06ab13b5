"""Plot a metric of runs against training time, with and without growing (figure 4).

    python train.py --data DATA --outdir runs/growing … --snapshot-ticks 1
    python train.py --data DATA --outdir runs/whole … --snapshot-ticks 1 --initial-resolution 128
    for run in runs/growing/* runs/whole/*; do for file in $run/network-snapshot-*.safetensors; do
      python -m metrics swd --network $file --data DATA --json $run/metric-swd.jsonl; done; done
    python benchmarks/growing.py growing=runs/growing/00000-… whole=runs/whole/00000-…

Other load disturbs runs of an hour. So the time of a snapshot is computed from its images and the
speeds of their resolutions, equal for all runs: the median of the ticks in the fastest run, which
may be a short one on a quiet machine (`--speeds`). Results go to benchmarks/results/growing.json
and docs/images/growing.png.
"""

import statistics
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import PATH, RESULTS, ROOT, write_json
from metrics.run_record import read_results
from progan.command import Command
from progan.errors import UserError
from progan.run_directory import STATISTICS_FILE
from progan.runtime.files import read_json_lines
from progan.runtime.text import format_table
from progan.sampling.find_network import find_networks
from progan.sampling.snapshot_file import load_network

COLUMN = "SWDx1e3_avg"
Point = dict[str, float]  # kimg, minutes, value


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="NAME=RUN...")
@click.option(
    "--speeds",
    "quiet",
    type=PATH,
    multiple=True,
    metavar="RUN",
    help="Another run, without a curve, whose ticks count for the speeds.",
)
@click.option("--output", type=PATH, default=RESULTS / "growing.json", help="Result file to write.")
@click.option(
    "--plot", type=PATH, default=ROOT / "docs/images/growing.png", help="Figure to write."
)
def main(runs: tuple[str, ...], quiet: tuple[Path, ...], output: Path, plot: Path) -> None:
    """Compare the time that runs take to reach values of the metric; the last is the reference."""
    named = dict(each.split("=", 1) for each in runs if "=" in each)
    if len(named) != len(runs):
        raise UserError("Name each run, as in growing=runs/00000-portraits-cpu.")
    speeds = common_speeds([ticks_of(Path(run)) for run in (*named.values(), *quiet)])
    curves = {name: metric_points(Path(run), speeds) for name, run in named.items()}
    *others, measure = curves
    result = {
        "column": COLUMN,
        "images_per_second": speeds,
        "curves": curves,
        "share_of_time": {name: time_shares(curves[name], curves[measure]) for name in others},
    }
    write_json(output, result)
    plot_curves(plot, curves)
    for name, found in result["share_of_time"].items():
        rows = [(COLUMN, f"{name}, minutes", f"{measure}, minutes", "share")]
        for each in found:
            minutes, whole = f"{each['minutes']:.1f}", f"{each['minutes_whole']:.1f}"
            rows.append((f"{each['value']:.1f}", minutes, whole, f"{each['share']:.2f}"))
        click.echo(format_table(rows))


def metric_points(run: Path, speeds: dict[float, float]) -> list[Point]:
    """Return the metric of each network of a run at its last resolution, oldest first."""
    minutes = minutes_by_kimg(ticks_of(run), speeds)
    found = []
    for network in find_networks(run):
        snapshot = load_network(network, torch.device("cpu"))
        if snapshot.level < snapshot.generator.config.max_level:
            continue
        values = [
            each.values[COLUMN]
            for each in read_results(network, snapshot.images_seen)
            if COLUMN in each.values
        ]
        if values:
            kimg = snapshot.images_seen / 1000
            found.append({"kimg": kimg, "minutes": minutes[kimg], "value": values[-1]})
    if not found:
        raise UserError(
            f"No metric-*.jsonl in {run} has {COLUMN} of a network of its last "
            "resolution. Measure them with python -m metrics swd --json."
        )
    return sorted(found, key=lambda point: point["kimg"])


def ticks_of(run: Path) -> list[dict[str, float]]:
    return list(read_json_lines(run / STATISTICS_FILE))


def common_speeds(runs: list[list[dict[str, float]]]) -> dict[float, float]:
    """Return images per second at each resolution: the best of the runs' medians."""
    best: dict[float, float] = {}
    for ticks in runs:
        speeds: dict[float, list[float]] = defaultdict(list)
        for tick in ticks:
            speeds[tick["schedule/resolution"]].append(tick["speed/images-per-second"])
        best |= {
            resolution: max(statistics.median(each), best.get(resolution, 0.0))
            for resolution, each in speeds.items()
        }
    return best


def minutes_by_kimg(
    ticks: list[dict[str, float]], speeds: dict[float, float]
) -> dict[float, float]:
    """Return the minutes of a run up to the end of each tick, by kimg."""
    minutes, spent, before = {}, 0.0, 0.0
    for tick in ticks:
        kimg = tick["progress/kimg"]
        spent += (kimg - before) * 1000 / speeds[tick["schedule/resolution"]] / 60
        minutes[kimg], before = spent, kimg
    return minutes


def time_shares(curve: list[Point], measure: list[Point]) -> list[Point]:
    """Return for each value that `measure` improved to the time in which `curve` reached it."""
    found, best = [], float("inf")
    for point in measure:
        best, improved = min(best, point["value"]), point["value"] < best
        reached = minutes_to_reach(curve, point["value"])
        if improved and reached is not None:
            found.append(
                {
                    "value": point["value"],
                    "minutes": reached,
                    "minutes_whole": point["minutes"],
                    "share": reached / point["minutes"],
                }
            )
    return found


def minutes_to_reach(curve: list[Point], value: float) -> float | None:
    """Return the interpolated minutes until a curve first fell to a value; None: it never did."""
    if curve[0]["value"] <= value:
        return curve[0]["minutes"]
    for before, after in pairwise(curve):
        if after["value"] <= value:
            part = (before["value"] - value) / (before["value"] - after["value"])
            return before["minutes"] + part * (after["minutes"] - before["minutes"])
    return None


def plot_curves(path: Path, curves: dict[str, list[Point]]) -> None:
    """Plot one curve for each run, against minutes and against images."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    page = Figure(figsize=(9, 3.6), layout="constrained")
    panels: Any = page.subplots(1, 2, sharey=True)
    for axes, (clock, label) in zip(
        panels, (("minutes", "minutes"), ("kimg", "thousands of images")), strict=True
    ):
        for name, curve in curves.items():
            axes.plot(
                [point[clock] for point in curve],
                [point["value"] for point in curve],
                marker=".",
                label=name,
            )
        axes.set(xlabel=label, yscale="log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(ScalarFormatter())
        axes.grid(alpha=0.3, which="both")
    panels[0].set(ylabel="SWD × 1e3, average of the scales")
    panels[1].legend()
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
