"""How fast training steps are at each resolution, beside what the machine and other projects do.

    python benchmarks/train.py                                    all levels of v2-1gpu
    python benchmarks/train.py --resolutions 16,64 --batch 4 --peer ../pytorch_GAN_zoo

An iteration is one step of the critic and one of the generator, fully faded in, on noise. All
that is compared takes turns within one process, so that what else the machine does meanwhile
disturbs all alike; the median and the quartiles of the turns are written. The ceilings are
measured beside: a product of large matrices, and a copy. Results go to
benchmarks/results/train-<device>.json and .md.
"""

import statistics
import sys
import time
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

from benchmarks.cost import step_cost  # noqa: E402
from benchmarks.peers import peer_step  # noqa: E402
from benchmarks.report import circumstances, page, require_place, save  # noqa: E402
from benchmarks.settings import in_way, stages  # noqa: E402
from progan import presets  # noqa: E402
from progan.batch_split import UNSHARDED  # noqa: E402
from progan.command import Command, device_option  # noqa: E402
from progan.config import Run, override  # noqa: E402
from progan.data.loader import preprocess_reals  # noqa: E402
from progan.errors import UserError  # noqa: E402
from progan.runtime import devices  # noqa: E402
from progan.runtime.torch_settings import set_cpu_threads, set_omp_passive  # noqa: E402
from progan.schedule import Stage  # noqa: E402
from progan.training import preflight  # noqa: E402
from progan.training.acceleration import accelerated, chosen  # noqa: E402
from progan.training.cuda_graph import WARM_UP_STEPS  # noqa: E402
from progan.training.plan import table  # noqa: E402
from progan.training.precision import LOW  # noqa: E402
from progan.training.state import create  # noqa: E402
from progan.training.step import PLAIN_STEPS  # noqa: E402

PLACE = click.Path(path_type=Path)
SECONDS = click.FloatRange(0.001, 3600)
BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
MOST_TURNS = 50


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that trains at a level."""

    name: str
    precision: str
    iterate: Callable[[], object]


@click.command(cls=Command)
@click.option("--preset", default="v2-1gpu", show_default=True)
@click.option("--resolutions", help="Some of the preset's, e.g. 16,64; all if not given.")
@click.option("--batch", type=click.IntRange(1), help="Another batch than the preset's.")
@click.option(
    "--variants",
    help="Ways to compute, e.g. eager-fp32,compile-bf16.  [default: all that the device has]",
)
@click.option(
    "--peer",
    "peers",
    type=PLACE,
    multiple=True,
    metavar="DIR",
    help="Checkout of "
    "pytorch_GAN_zoo or pro_gan_pytorch, to be timed at the same widths; repeatable.",
)
@click.option(
    "--seconds",
    type=SECONDS,
    default=20.0,
    show_default=True,
    help="For each contestant and level.",
)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=0, help="CPU threads; 0: as torch chooses."
)
@device_option
@click.option("--output", type=PLACE, help="Where the results go, without suffix.")
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
    require_place(output)
    set_omp_passive()
    set_cpu_threads(threads)
    chosen = devices.choose_device(device)
    run, chosen_stages = stages_of(preset, resolutions, batch)
    names = some_of(variants, variants_of(chosen), "--variants")
    ceilings = {
        precision: ceiling(chosen, precision)
        for precision in sorted({name.rsplit("-", 1)[1] for name in names})
    }
    bandwidth = copying_bytes_per_second(chosen)
    result = circumstances("train", devices.describe_device(chosen), preset) | {
        "ceilings": {"flop_per_second": ceilings, "copied_bytes_per_second": bandwidth},
        "levels": [],
    }
    for stage in chosen_stages:
        rows = list(level_rows(run, stage, names, peers, chosen, seconds, ceilings, bandwidth))
        result["levels"] += rows
        click.echo(in_words(rows))
    save(
        "train",
        result,
        page(result, remarks(result), HEADINGS, map(cells, result["levels"])),
        output,
    )


def stages_of(preset: str, resolutions: str | None, batch: int | None) -> tuple[Run, list[Stage]]:
    """The run of a preset, and its stages at some resolutions, fully faded in."""
    run = presets.preset(preset)
    if batch:
        run = override(run, {"batch": batch, "batch_at": ()})
    found = {str(resolution): stage for resolution, stage in stages(run).items()}
    return run, [found[each] for each in some_of(resolutions, list(found), "--resolutions")]


def some_of(text: str | None, known: list[str], option: str) -> list[str]:
    """The names in a list such as '16,64', or all that are known."""
    names = text.split(",") if text else known
    if strange := [name for name in names if name not in known]:
        raise UserError(
            f"{option} {text}: there is no {strange[0]!r}. Choose from {', '.join(known)}."
        )
    return names


def variants_of(device: torch.device) -> list[str]:
    """All ways to compute on a device, as 'acceleration-precision'."""
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
    """Time everybody at a level."""
    contestants = [ours(run, stage, name, device) for name in names]
    contestants += [other(run, stage, peer, device) for peer in peers]
    flops, elements = step_cost(run, stage)
    times = in_turns(contestants, device, seconds)
    for who in contestants:
        taken = times[who.name]
        median = statistics.median(taken)
        yield {
            "resolution": stage.resolution,
            "batch": stage.batch,
            "name": who.name,
            "images_per_second": stage.batch * run.growth.d_repeats / median,
            "seconds_per_kimg": 1000 * median / (stage.batch * run.growth.d_repeats),
            "seconds": {"median": median, "quartiles": quartiles(taken), "turns": len(taken)},
            "share_of_flops": flops / median / ceilings.get(who.precision, ceilings["fp32"]),
            "share_of_bandwidth": elements * BYTES[who.precision] / median / bandwidth,
            "gflop_per_image": flops / stage.batch / run.growth.d_repeats / 1e9,
        }


def ours(
    run: Run,
    stage: Stage,
    name: str,
    device: torch.device,
    report: Callable[[str], None] = click.echo,
) -> Contestant:
    """An iteration of this project, computed in the way of this name."""
    run = in_way(run, name)
    state = create(run, device)
    batch = preflight.noise_batch(run, stage, UNSHARDED).to(device)
    steps = accelerated(PLAIN_STEPS, chosen(run, device), report)

    def iterate() -> None:
        devices.set_precision(run.precision)
        preflight.run_dummy_iteration(state, run, stage, batch, steps)
        state.images_seen += stage.batch

    return Contestant(name, run.precision, iterate)


def other(run: Run, stage: Stage, checkout: Path, device: torch.device) -> Contestant:
    """An iteration of another project."""
    name, step = peer_step(checkout, run.network, stage.level, device)
    reals = preprocess_reals(
        preflight.noise_batch(run, stage, UNSHARDED).images.to(device)
    ).contiguous()

    def iterate() -> None:
        devices.set_precision("fp32")
        with redirect_stdout(StringIO()):
            step(reals)

    return Contestant(name, "fp32", iterate)


def in_turns(
    contestants: list[Contestant], device: torch.device, seconds: float
) -> dict[str, list[float]]:
    """Seconds of iterations, of which everybody has one a turn after some to get warm."""
    times: dict[str, list[float]] = {who.name: [] for who in contestants}
    warm = 2 + WARM_UP_STEPS * any("graph-" in who.name for who in contestants)
    for turn in range(MOST_TURNS + warm):
        for who in contestants:
            devices.synchronize(device)
            start = time.perf_counter()
            who.iterate()
            devices.synchronize(device)
            if turn >= warm:
                times[who.name].append(time.perf_counter() - start)
        if turn >= warm + 2 and sum(map(sum, times.values())) > seconds * len(contestants):
            break
    return times


def ceiling(device: torch.device, precision: str, side: int = 0) -> float:
    """Operations per second of a product of large matrices."""
    devices.set_precision(precision)
    side = side or (8192 if device.type == "cuda" else 2048)
    dtype = LOW.get(precision, torch.float32)
    a, b = (torch.randn(side, side, dtype=dtype, device=device) for _ in range(2))
    return 2 * side**3 / fastest(lambda: a @ b, device)


def copying_bytes_per_second(device: torch.device, count: int = 0) -> float:
    """Bytes read and written per second by a copy of much memory."""
    source = torch.ones(count or (2**28 if device.type == "cuda" else 2**26), device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / fastest(lambda: target.copy_(source), device)


def fastest(work: Callable[[], object], device: torch.device) -> float:
    taken = []
    for _ in range(10):
        devices.synchronize(device)
        start = time.perf_counter()
        work()
        devices.synchronize(device)
        taken.append(time.perf_counter() - start)
    return min(taken)


def quartiles(taken: list[float]) -> list[float]:
    first, _, third = statistics.quantiles(taken, n=4)
    return [first, third]


HEADINGS = (
    "resolution",
    "batch",
    "",
    "img/s",
    "s/kimg",
    "quartiles",
    "turns",
    "of FLOP/s",
    "of bandwidth",
)


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row["seconds"]["quartiles"]
    spread = (high - low) / row["seconds"]["median"]
    return (
        str(row["resolution"]),
        str(row["batch"]),
        row["name"],
        f"{row['images_per_second']:.3g}",
        f"{row['seconds_per_kimg']:.4g}",
        f"{100 * spread:.0f} %",
        str(row["seconds"]["turns"]),
        f"{100 * row['share_of_flops']:.0f} %",
        f"{100 * row['share_of_bandwidth']:.0f} %",
    )


def in_words(rows: list[dict[str, Any]]) -> str:
    return table([HEADINGS, *map(cells, rows)])


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
