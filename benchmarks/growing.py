"""How much time growing saves: a metric of runs against the hours that they took (figure 4).

    python train.py --data DATA --outdir runs/growing … --snapshot-ticks 1
    python train.py --data DATA --outdir runs/whole … --snapshot-ticks 1 --initial-resolution 128
    for run in runs/growing/* runs/whole/*; do for file in $run/network-snapshot-*.safetensors; do
      python -m metrics swd --network $file --data DATA --json $run/metric-swd.jsonl; done; done
    python benchmarks/growing.py growing=runs/growing/00000-… whole=runs/whole/00000-…

Other work on the machine disturbs runs of an hour. So the time of a snapshot is that of its images
at the speeds of their resolutions, which are the same for all runs: the median of the ticks, in the
run that was disturbed least. Results go to benchmarks/results/growing.json and
docs/images/growing.png.
"""

import json
import statistics
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from metrics.run_record import findings  # noqa: E402
from progan.command import Command  # noqa: E402
from progan.errors import UserError  # noqa: E402
from progan.run_directory import STATISTICS_FILE  # noqa: E402
from progan.runtime.files import read_json_lines  # noqa: E402
from progan.sampling.network_choice import find_networks  # noqa: E402
from progan.sampling.network_file import load_network  # noqa: E402
from progan.training.plan import table  # noqa: E402

COLUMN = "SWDx1e3_avg"
Point = dict[str, float]  # kimg, minutes, value


@click.command(cls=Command)
@click.argument("runs", nargs=-1, required=True, metavar="NAME=RUN...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=ROOT / "benchmarks/results/growing.json",
    help="Where the numbers go.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    default=ROOT / "docs/images/growing.png",
    help="Where the picture goes.",
)
def main(runs: tuple[str, ...], output: Path, plot: Path) -> None:
    """Compare what runs reach with the time that they take; the last one is the measure."""
    named = dict(each.split("=", 1) for each in runs if "=" in each)
    if len(named) != len(runs):
        raise UserError("Name each run, as in growing=runs/00000-portraits-cpu.")
    speeds = common_speeds([ticks_of(Path(run)) for run in named.values()])
    curves = {name: points(Path(run), speeds) for name, run in named.items()}
    *others, measure = curves
    result = {
        "column": COLUMN,
        "images_per_second": speeds,
        "curves": curves,
        "share_of_time": {name: shares(curves[name], curves[measure]) for name in others},
    }
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    draw(plot, curves)
    for name, found in result["share_of_time"].items():
        click.echo(
            table(
                [
                    (COLUMN, f"{name}, minutes", f"{measure}, minutes", "share"),
                    *(
                        (
                            f"{each['value']:.1f}",
                            f"{each['minutes']:.1f}",
                            f"{each['minutes_whole']:.1f}",
                            f"{each['share']:.2f}",
                        )
                        for each in found
                    ),
                ]
            )
        )


def points(run: Path, speeds: dict[float, float]) -> list[Point]:
    """What was measured of each network of a run at its last resolution, oldest first."""
    minutes = minutes_by_kimg(ticks_of(run), speeds)
    found = []
    for network in find_networks(run):
        snapshot = load_network(network, torch.device("cpu"))
        if snapshot.level < snapshot.generator.config.max_level:
            continue
        values = [
            each.values[COLUMN]
            for each in findings(network, snapshot.images_seen)
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
    """Images per second at each resolution: the best of the runs' medians."""
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
    """How long a run takes to the end of each tick."""
    minutes, spent, before = {}, 0.0, 0.0
    for tick in ticks:
        kimg = tick["progress/kimg"]
        spent += (kimg - before) * 1000 / speeds[tick["schedule/resolution"]] / 60
        minutes[kimg], before = spent, kimg
    return minutes


def shares(curve: list[Point], measure: list[Point]) -> list[Point]:
    """At each value that `measure` improved to: the time in which `curve` reached it as well."""
    found, best = [], float("inf")
    for point in measure:
        best, improved = min(best, point["value"]), point["value"] < best
        reached = when(curve, point["value"])
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


def when(curve: list[Point], value: float) -> float | None:
    """Minutes until a curve first fell to a value, between its points; None: it never did."""
    if curve[0]["value"] <= value:
        return curve[0]["minutes"]
    for before, after in pairwise(curve):
        if after["value"] <= value:
            part = (before["value"] - value) / (before["value"] - after["value"])
            return before["minutes"] + part * (after["minutes"] - before["minutes"])
    return None


def draw(path: Path, curves: dict[str, list[Point]]) -> None:
    """One curve for each run, against minutes and against images."""
    from matplotlib.figure import Figure

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
        axes.grid(alpha=0.3, which="both")
    panels[0].set(ylabel="SWD × 1e3, average of the scales")
    panels[1].legend()
    page.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
