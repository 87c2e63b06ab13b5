"""All that a GPU has to tell, in a quarter of an hour, the most valuable answers first.

    python benchmarks/gpu.py --output results/h200                    nine minutes
    python benchmarks/gpu.py --output results/h200 --minutes 4        goes on with what is missing
    python benchmarks/gpu.py --report results/h200                    the page, without a GPU
    python benchmarks/gpu.py --device cpu --minutes 1 --output /tmp/x rehearsal, tiny networks

Each measurement is a process of its own under a time limit, and each figure is a line of
results.jsonl as soon as it is known (benchmarks/isolated.py).
"""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.isolated import (  # noqa: E402
    Part,
    Task,
    append_line,
    read_lines,
    require_results_folder,
    run_parts,
)
from progan import presets  # noqa: E402
from progan.command import Command  # noqa: E402
from progan.config import Run, override  # noqa: E402
from progan.errors import UserError  # noqa: E402

PLACE = click.Path(path_type=Path)
PLANNED_MINUTES = 9.0
SPEED, CORRECTNESS, TRAINING = (
    f"benchmarks.gpu_{name}:" for name in ("speed", "correctness", "training")
)
PRELOAD = ("torch", "benchmarks.gpu_speed", "benchmarks.gpu_correctness", "benchmarks.gpu_training")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """How much is measured: on a GPU the full networks, in a rehearsal tiny ones.

    Resolutions are in the order of their worth: 1024x1024 takes most of a training.
    """

    run: Run
    precisions: tuple[str, ...]
    resolutions: tuple[int, ...]
    compiled: tuple[int, ...]  # of the resolutions, those whose compiled steps are measured
    compiled_later: tuple[int, ...] = ()  # if there is time, or by a second call
    correct: tuple[int, ...] = (4, 8, 16, 32)
    eager_ways: tuple[str, ...]
    compiled_ways: tuple[str, ...]
    compiled_precision: str
    tuned: tuple[int, ...]  # resolutions where cuDNN may also try its algorithms
    peer_resolutions: tuple[int, ...]
    peer_ways: tuple[str, ...]
    way_seconds: float  # for each way at a resolution
    matrix_side: int  # of the products that are the ceiling
    backend: str = "inductor"
    least_compile_seconds: float = 1.0
    least_training_seconds: float = 1.0
    most_training_seconds: float = 3600.0
    training: dict[str, Any] = field(default_factory=dict)  # settings of the preset `demo`
    training_resolutions: tuple[int, ...]  # the first for which there is time
    worthwhile_kimg: float  # what a training at least needs to be worth looking at
    training_way: str
    metric: str
    grid: str
    images: int  # of the dataset
    workers: int
    data_images: int
    pictures: tuple[tuple[int, int], ...]  # resolution and how many


GPU = Scope(
    run=presets.preset("v2-1gpu"),
    precisions=("bf16", "tf32", "fp32", "fp16"),
    resolutions=(1024, 256, 64, 16, 512, 128, 32, 4, 8),
    compiled=(256, 1024, 64, 16),
    compiled_later=(512, 128, 32, 8, 4),
    eager_ways=("eager-bf16", "eager-graph-bf16", "eager-tf32", "eager-graph-tf32"),
    compiled_ways=("compile-bf16", "graph-bf16"),
    compiled_precision="bf16",
    tuned=(256, 1024, 64),
    peer_resolutions=(64, 256, 16),
    peer_ways=("eager-fp32", "eager-graph-bf16"),
    way_seconds=1.2,
    matrix_side=8192,
    least_compile_seconds=45.0,
    least_training_seconds=40.0,
    training_resolutions=(128, 64),
    worthwhile_kimg=300,
    training=dict(batch=32, fmap_base=1024, fmap_max=128),
    training_way="eager-graph-bf16",
    metric="swd2000",
    grid="16x8",
    images=6000,
    workers=8,
    data_images=4000,
    pictures=((64, 512), (1024, 64)),
)
REHEARSAL = Scope(
    run=override(
        presets.preset("v2-1gpu"),
        {
            "resolution": 8,
            "latent_size": 8,
            "fmap_base": 16,
            "fmap_max": 4,
            "batch": 4,
            "batch_at": (),
            "stddev_group": 4,
            "tick_kimg_at": (),
        },
    ),
    precisions=("bf16", "fp32"),
    resolutions=(8, 4),
    compiled=(4,),
    correct=(4, 8),
    eager_ways=("eager-bf16", "eager-graph-fp32"),
    compiled_ways=("compile-fp32",),
    compiled_precision="fp32",
    tuned=(4,),
    peer_resolutions=(8,),
    peer_ways=("eager-fp32",),
    way_seconds=0.02,
    matrix_side=512,
    backend="eager",
    most_training_seconds=5.0,
    training_resolutions=(32, 16),
    worthwhile_kimg=1e6,
    training=dict(batch=4, fmap_base=16, fmap_max=4, latent_size=8, stddev_group=4, threads=1),
    training_way="eager-fp32",
    metric="ms-ssim16",
    grid="4x2",
    images=32,
    workers=1,
    data_images=16,
    pictures=((8, 4),),
)
SCOPES = {"cuda": GPU, "cpu": REHEARSAL}


def plan(device: str, output: Path, peers: list[Path]) -> list[Part]:
    """All parts in the order of their worth, with the seconds of nine minutes for each."""
    scope = SCOPES[device]
    on: dict[str, Any] = {"device": device}
    timed = on | {"run": scope.run, "way_seconds": scope.way_seconds}
    data, portraits = _training_tasks(scope, on, output)
    return [
        Part(
            "machine",
            20,
            [
                Task(
                    "machine",
                    SPEED + "describe_machine",
                    on | {"precisions": list(scope.precisions), "side": scope.matrix_side},
                )
            ],
        ),
        Part("correctness", 50, _correctness_tasks(scope, on)),
        Part(
            "steps",
            110,
            [
                *_step_tasks(scope, timed, scope.resolutions, scope.eager_ways),
                *(
                    Task(
                        f"{each} cudnn.benchmark",
                        SPEED + "time_steps",
                        timed
                        | {
                            "resolution": each,
                            "ways": list(scope.eager_ways[:1]),
                            "cudnn_benchmark": True,
                        },
                    )
                    for each in scope.tuned
                ),
            ],
        ),
        # All at once: compilation takes processor time, and figures of speed come later.
        Part(
            "compilation",
            110,
            [*_compile_tasks(scope, on, scope.compiled), data],
            parallel=len(scope.compiled) + 1,
        ),
        Part("compiled steps", 50, _step_tasks(scope, timed, scope.compiled, scope.compiled_ways)),
        Part("training", 90, [portraits], least_seconds=scope.least_training_seconds),
        Part("tests", 40, [Task("tests", CORRECTNESS + "run_gpu_tests")]),
        Part(
            "peers",
            40,
            [
                Task(
                    str(each),
                    SPEED + "time_peers",
                    timed
                    | {
                        "resolution": each,
                        "checkouts": list(map(str, peers)),
                        "ways": list(scope.peer_ways),
                    },
                )
                for each in scope.peer_resolutions
            ]
            if peers
            else [],
        ),
        Part(
            "data",
            20,
            [
                Task(
                    "data",
                    SPEED + "time_data",
                    timed
                    | {
                        "resolution": min(64, scope.run.network.resolution),
                        "images": scope.data_images,
                        "way": scope.eager_ways[0],
                    },
                )
            ],
        ),
        Part(
            "pictures",
            10,
            [
                Task(
                    str(resolution),
                    SPEED + "time_pictures",
                    on | {"run": scope.run, "resolution": resolution, "images": count},
                )
                for resolution, count in scope.pictures
            ],
        ),
        # What nine minutes have no room for, and a second call has.
        Part(
            "other compilation",
            4,
            _compile_tasks(scope, on, scope.compiled_later),
            parallel=5,
            least_seconds=scope.least_compile_seconds,
        ),
        Part(
            "other compiled steps",
            2,
            _step_tasks(scope, timed, scope.compiled_later, scope.compiled_ways),
        ),
    ]


def _correctness_tasks(scope: Scope, on: dict[str, Any]) -> list[Task]:
    return [
        *(
            Task(
                f"float64 {each}",
                CORRECTNESS + "compare_with_float64",
                on | {"resolution": each, "precisions": list(scope.precisions)},
            )
            for each in scope.correct
        ),
        Task("graph", CORRECTNESS + "compare_graph", on | {"resolutions": list(scope.correct)}),
        Task("resume", CORRECTNESS + "compare_resumed", on),
        Task("batches", CORRECTNESS + "compare_batches", on),
    ]


def _step_tasks(
    scope: Scope, timed: dict[str, Any], resolutions: tuple[int, ...], ways: tuple[str, ...]
) -> list[Task]:
    return [
        Task(
            str(each),
            SPEED + "time_steps",
            timed | {"resolution": each, "ways": list(ways), "backend": scope.backend},
        )
        for each in resolutions
    ]


def _compile_tasks(scope: Scope, on: dict[str, Any], resolutions: tuple[int, ...]) -> list[Task]:
    return [
        Task(
            str(each),
            SPEED + "compile_steps",
            on
            | {
                "run": scope.run,
                "resolution": each,
                "precision": scope.compiled_precision,
                "backend": scope.backend,
            },
        )
        for each in resolutions
    ]


def _training_tasks(scope: Scope, on: dict[str, Any], output: Path) -> tuple[Task, Task]:
    """The dataset of the training, and the training.

    The dataset can be drawn again, and is not among the results.
    """
    resolution = max(scope.training_resolutions)
    dataset = str(Path(tempfile.gettempdir()) / f"progan-portraits-{resolution}-{scope.images}")
    return (
        Task(
            "portraits",
            TRAINING + "draw_portraits",
            {
                "dest": dataset,
                "resolution": resolution,
                "images": scope.images,
                "workers": scope.workers,
            },
        ),
        Task(
            "training",
            TRAINING + "train_portraits",
            on
            | {
                "data": dataset,
                "images": scope.images,
                "workers": scope.workers,
                "output": str(output / "training"),
                "options": scope.training,
                "resolutions": list(scope.training_resolutions),
                "worthwhile_kimg": scope.worthwhile_kimg,
                "way": scope.training_way,
                "metric": scope.metric,
                "grid": scope.grid,
                "probe_seconds": scope.way_seconds / 4,
                "most_seconds": scope.most_training_seconds,
            },
        ),
    )


@click.command(cls=Command)
@click.option(
    "--minutes",
    type=click.FloatRange(0.01, 24 * 60),
    default=PLANNED_MINUTES,
    show_default=True,
    help="Time for everything; what is not measured by then is left for another call.",
)
@click.option(
    "--output",
    type=PLACE,
    help="Folder of the results; a second call with the same one goes on with what is missing.",
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
@click.option("--parts", help="Only these parts, in this order, e.g. machine,steps.")
@click.option("--skip", help="Leave these parts out.")
@click.option("--retry", is_flag=True, help="Repeat what failed or was stopped.")
@click.option(
    "--device",
    type=click.Choice(sorted(SCOPES)),
    default="cuda",
    show_default=True,
    help="cpu: a rehearsal with tiny networks.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Print what would be done, and stop.")
@click.option(
    "--report",
    "reported",
    type=PLACE,
    metavar="DIR",
    help="Print the page of the "
    "results in a folder, and write it there as results.md; needs no GPU.",
)
def main(
    *,
    minutes: float,
    output: Path | None,
    peers: tuple[Path, ...],
    parts: str | None,
    skip: str | None,
    retry: bool,
    device: str,
    only_plan: bool,
    reported: Path | None,
) -> None:
    """Measure correctness and speed on a GPU, in the order of their worth."""
    if reported:
        from benchmarks.gpu_report import write_report

        click.echo(write_report(reported))
        return
    chosen = select(
        plan(device, (output or Path()).resolve(), [peer.resolve() for peer in peers]), parts, skip
    )
    if only_plan:
        click.echo(plan_words(chosen, minutes))
        return
    if output is None:
        raise UserError(
            "Name a folder for the results with --output, or the folder of earlier "
            "ones with --report."
        )
    results = require_results_folder(output)
    require_same_device(results, device)
    append_line(
        results,
        {
            "event": "call",
            "part": "",
            "task": "",
            "device": device,
            "command": " ".join(["python", "benchmarks/gpu.py", *_shown()]),
        },
    )
    click.echo(plan_words(chosen, minutes))
    before = len(read_lines(results))
    run_parts(chosen, results, 60 * minutes, click.echo, PRELOAD, retry=retry)
    added = [line["event"] for line in read_lines(results)[before:]]
    if "failed" in added and "measured" not in added:
        raise UserError(
            "Nothing could be measured; the reasons are above. After mending them, "
            "repeat the command with --retry."
        )
    click.echo(f"Results are in {results}. A page: python benchmarks/gpu.py --report {output}")


def _shown() -> list[str]:
    """The arguments, with no more of folders than their names."""
    return [Path(word).name if "/" in word else word for word in sys.argv[1:]]


def select(parts: list[Part], names: str | None, skipped: str | None) -> list[Part]:
    """The parts that were asked for; UserError for a name that there is not."""
    by_name = {part.name: part for part in parts if part.tasks}
    for option, text in (("--parts", names), ("--skip", skipped)):
        for name in text.split(",") if text else ():
            if name not in {part.name for part in parts}:
                raise UserError(
                    f"{option} {text}: there is no part {name!r}. Parts: "
                    f"{', '.join(part.name for part in parts)}."
                )
            if name not in by_name:
                raise UserError(
                    f"{option} {text}: {name} has nothing to measure"
                    f"{'; name checkouts with --peer' * (name == 'peers')}."
                )
    chosen = [by_name[name] for name in names.split(",")] if names else list(by_name.values())
    return [part for part in chosen if part.name not in (skipped or "").split(",")]


def plan_words(parts: list[Part], minutes: float) -> str:
    """What each part is planned to take, as a table."""
    whole = sum(part.seconds for part in parts)
    rows, start = [], 0.0
    for part in parts:
        seconds = 60 * minutes * part.seconds / whole
        rows.append(
            f"{start / 60:5.1f} min  {seconds:4.0f} s  {part.name}: "
            f"{', '.join(task.name for task in part.tasks)}"
        )
        start += seconds
    return "\n".join(rows)


def require_same_device(results: Path, device: str) -> None:
    """Raise UserError if a folder holds results of another device."""
    others = {line["device"] for line in read_lines(results) if line["event"] == "call"}
    if others - {device}:
        raise UserError(
            f"{results} has results of --device {others.pop()}. Name another folder with --output."
        )


if __name__ == "__main__":
    main()
