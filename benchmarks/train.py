"""Time training steps at each resolution, beside the limits of the machine and other projects.

    python benchmarks/train.py                                    all levels of v2-1gpu
    python benchmarks/train.py --resolutions 16,64 --batch 4 --peer ../pytorch_GAN_zoo

An iteration is one step of the discriminator and one of the generator, fully faded in, on noise.
All contestants take turns in one process, so that other load on the machine disturbs them alike;
the median and the quartiles of the turns are written. The ceilings are measured as well: a product
of large matrices, and a copy. Results go to
benchmarks/results/train-<device>.json and .md.
"""

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import click
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.report import (
    SECONDS,
    batch_option,
    describe_run,
    format_page,
    output_option,
    peer_option,
    prepare,
    preset_option,
    resolutions_option,
    save_results,
    threads_option,
)
from benchmarks.workload import (
    measure_seconds,
    peer_step,
    stages_by_resolution,
    step_cost,
    with_variant,
)
from progan import presets
from progan.batch_split import UNSHARDED
from progan.command import Command, device_option
from progan.config import Run, override
from progan.errors import UserError
from progan.runtime import devices
from progan.runtime.text import PrintLine, format_table
from progan.schedule import Stage
from progan.training import preflight
from progan.training.acceleration import accelerate, choose_acceleration
from progan.training.cuda_graph import WARM_UP_STEPS
from progan.training.precision import HALF_DTYPES
from progan.training.state import create_state
from progan.training.step_inputs import preprocess_reals

BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
MOST_TURNS = 50


@dataclass(frozen=True, slots=True)
class Contestant:
    """A training iteration that is timed."""

    name: str
    precision: str
    iterate: Callable[[], object]


# fmt: off
@click.command(cls=Command)
@preset_option
@resolutions_option
@batch_option
@click.option("--variants",
    help="Acceleration and precision, e.g. eager-fp32,compile-bf16.  [default: all of the device]")
@peer_option
@click.option("--seconds", type=SECONDS, default=20.0, show_default=True,
    help="Time of each contestant at each resolution.")
@threads_option
@device_option
@output_option
# fmt: on
def main(
    preset: str,
    resolutions: str | None,
    batch: int | None,
    variants: str | None,
    peers: tuple[Path, ...],
    seconds: float,
    threads: int,
    device: str,
    output: Path | None,
) -> None:
    """Time training steps at each resolution."""
    chosen = prepare(device, output, threads)
    run, chosen_stages = stages_of(preset, resolutions, batch)
    names = select_names(variants, available_variants(chosen), "--variants")
    precisions = {name.rsplit("-", 1)[1] for name in names} | ({"fp32"} if peers else set())
    ceilings = {each: matmul_flops(chosen, each) for each in sorted(precisions)}
    bandwidth = copy_bandwidth(chosen)
    result = describe_run("train", chosen, preset) | {
        "ceilings": {"flop_per_second": ceilings, "copied_bytes_per_second": bandwidth},
        "levels": [],
    }
    for stage in chosen_stages:
        rows = list(level_rows(run, stage, names, peers, chosen, seconds, ceilings, bandwidth))
        result["levels"] += rows
        click.echo(format_table([HEADINGS, *map(cells, rows)]))
    save_results(
        "train",
        result,
        format_page(result, remarks(result), HEADINGS, map(cells, result["levels"])),
        output,
    )


def stages_of(preset: str, resolutions: str | None, batch: int | None) -> tuple[Run, list[Stage]]:
    """Return the run of a preset, and its stages at some resolutions, fully faded in."""
    run = presets.preset(preset)
    if batch:
        run = override(run, {"batch": batch, "batch_at": ()})
    found = {str(resolution): stage for resolution, stage in stages_by_resolution(run).items()}
    return run, [found[each] for each in select_names(resolutions, list(found), "--resolutions")]


def select_names(text: str | None, known: list[str], option: str) -> list[str]:
    """Parse a list such as '16,64'; all known names if None. Raises UserError."""
    names = text.split(",") if text else known
    if unknown := [name for name in names if name not in known]:
        raise UserError(
            f"{option} {text}: no such value: {unknown[0]!r}. Choose from {', '.join(known)}."
        )
    return names


def available_variants(device: torch.device) -> list[str]:
    """Return all variants 'acceleration-precision' of a device."""
    on_gpu = device.type == "cuda"
    precisions = ("fp32", "tf32", "bf16", "fp16") if on_gpu else ("fp32", "bf16")
    ways = ("eager", "eager-graph", "compile", "graph") if on_gpu else ("eager", "compile")
    return [f"{how}-{precision}" for precision in precisions for how in ways]


def level_rows(
    run: Run,
    stage: Stage,
    names: list[str],
    peers: tuple[Path, ...],
    device: torch.device,
    seconds: float,
    ceilings: dict[str, float],
    bandwidth: float,
) -> Iterator[dict[str, Any]]:
    """Time all contestants at a resolution; yield a result row for each."""
    contestants = [progan_contestant(run, stage, name, device) for name in names]
    contestants += [peer_contestant(run, stage, peer, device) for peer in peers]
    flops, elements = step_cost(run, stage)
    times = time_in_turns(contestants, device, seconds)
    for contestant in contestants:
        taken = times[contestant.name]
        median = statistics.median(taken)
        yield {
            "resolution": stage.resolution,
            "batch": stage.batch,
            "name": contestant.name,
            "images_per_second": stage.batch * run.growth.d_repeats / median,
            "seconds_per_kimg": 1000 * median / (stage.batch * run.growth.d_repeats),
            "seconds": {"median": median, "quartiles": quartiles(taken), "turns": len(taken)},
            "share_of_flops": flops / median / ceilings[contestant.precision],
            "share_of_bandwidth": elements * BYTES[contestant.precision] / median / bandwidth,
            "gflop_per_image": flops / stage.batch / run.growth.d_repeats / 1e9,
        }


def progan_contestant(
    run: Run,
    stage: Stage,
    name: str,
    device: torch.device,
    print_line: PrintLine = click.echo,
) -> Contestant:
    """Return an iteration of this project in the variant `name`."""
    run = with_variant(run, name)
    state = create_state(run, device)
    batch = preflight.noise_batch(run, stage, UNSHARDED).to(device)
    steps = accelerate(choose_acceleration(run, device), print_line)

    def iterate() -> None:
        devices.set_precision(run.precision)
        preflight.run_dummy_iteration(state, run, stage, batch, steps)
        state.images_seen += stage.batch

    return Contestant(name, run.precision, iterate)


def peer_contestant(run: Run, stage: Stage, checkout: Path, device: torch.device) -> Contestant:
    """Return an iteration of the project in a checkout."""
    name, step = peer_step(checkout, run.network, stage.level, device)
    reals = preprocess_reals(
        preflight.noise_batch(run, stage, UNSHARDED).images.to(device)
    ).contiguous()

    def iterate() -> None:
        devices.set_precision("fp32")
        with redirect_stdout(StringIO()):
            step(reals)

    return Contestant(name, "fp32", iterate)


def time_in_turns(
    contestants: list[Contestant], device: torch.device, seconds: float
) -> dict[str, list[float]]:
    """Time one iteration of each contestant per turn, after a warm-up; return seconds by name."""
    times: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    warm = 2 + WARM_UP_STEPS * any("graph-" in contestant.name for contestant in contestants)
    for turn in range(MOST_TURNS + warm):
        for contestant in contestants:
            seconds_taken = measure_seconds(contestant.iterate, device)
            if turn >= warm:
                times[contestant.name].append(seconds_taken)
        if turn >= warm + 2 and sum(map(sum, times.values())) > seconds * len(contestants):
            break
    return times


def matmul_flops(device: torch.device, precision: str, side: int = 0) -> float:
    """Return operations per second of a product of large matrices."""
    devices.set_precision(precision)
    side = side or (8192 if device.type == "cuda" else 2048)
    dtype = HALF_DTYPES.get(precision, torch.float32)
    a, b = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2 * side**3 / fastest_seconds(lambda: a @ b, device)


def copy_bandwidth(device: torch.device, count: int = 0) -> float:
    """Return bytes read and written per second by a large copy."""
    source = torch.ones(count or (2**28 if device.type == "cuda" else 2**26), device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest_seconds(lambda: target.copy_(source), device)


def fastest_seconds(work: Callable[[], object], device: torch.device) -> float:
    return min(measure_seconds(work, device) for _ in range(10))


def quartiles(taken: list[float]) -> list[float]:
    first, _, third = statistics.quantiles(taken, n=4)
    return [first, third]


SPEED_HEADINGS = ("img/s", "s/kimg", "quartiles", "turns")
HEADINGS = ("resolution", "batch", "", *SPEED_HEADINGS, "of FLOP/s", "of bandwidth")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["seconds"]["quartiles"]
    spread = (high - low) / row["seconds"]["median"]
    return (
        str(row["resolution"]), str(row["batch"]), row["name"], f"{row['images_per_second']:.3g}",
        f"{row['seconds_per_kimg']:.4g}", f"{100 * spread:.0f} %", str(row["seconds"]["turns"]),
        f"{100 * row['share_of_flops']:.0f} %", f"{100 * row['share_of_bandwidth']:.0f} %",
    )  # fmt: skip


def remarks(result: dict[str, Any]) -> str:
    ceilings = ", ".join(
        f"{precision} {flops / 1e9:.0f} GFLOP/s"
        for precision, flops in result["ceilings"]["flop_per_second"].items()
    )
    return (
        f"Products of large matrices: {ceilings}; copies: "
        f"{result['ceilings']['copied_bytes_per_second'] / 1e9:.0f} GB/s, read and written. "
        "Quartiles: how far apart they are, of the median. Shares count what our step must "
        "do."
    )


if __name__ == "__main__":
    main()
