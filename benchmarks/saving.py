"""Measure the cost of saving: the time that training waits, and the share of its hooks.

    python benchmarks/saving.py state --preset v2-1gpu
    python benchmarks/saving.py hooks --preset demo --data demo/portraits

`state` saves the full state of a preset, with moments, to --outdir: training waits for the copy,
the rest runs in the background. `hooks` trains the preset and adds up the time of each hook,
copies included, and of the end of the training. Wall times are less reliable than CPU times of the
main thread on a machine with other load.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import PATH, preset_option
from progan import presets
from progan.config import override
from progan.data.reader import Dataset
from progan.runtime.files import format_bytes
from progan.runtime.log import Log
from progan.runtime.torch_settings import set_up_cpu
from progan.runtime.weights_file import hash_content
from progan.runtime.workers import BackgroundJob
from progan.training import hooks
from progan.training.checkpoint import copy_to_cpu, load_state, write_state_and_delete_oldest
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.loop import TrainContext, train
from progan.training.start import fit_to_dataset
from progan.training.state import create_state

CPU = torch.device("cpu")


@click.group()
def main() -> None:
    """Measure what saving costs."""


@main.command("state")
@preset_option
@click.option("--outdir", type=PATH, help="Folder to write to; a temporary one if not given.")
@click.option("--runs", default=5, show_default=True)
def measure_state(preset: str, outdir: Path | None, runs: int) -> None:
    """Time copying, hashing, writing and reading a state."""
    run = presets.preset(preset)
    state = create_state(run, CPU)
    for optimizer in (state.g_optimizer, state.d_optimizer):
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    spent: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=outdir) as folder:
        for number in range(runs):
            state.images_seen = 1000 * number
            with append_seconds(spent["copy (training waits)"]):
                content = copy_to_cpu(state, run)
            with append_seconds(spent["checksum"]):
                hash_content(content)
            with append_seconds(spent["checksum, write, fsync, rename"]):
                path = write_state_and_delete_oldest(Path(folder), content, 1)
            size = path.stat().st_size
            spent["one multiplication of 1024x1024 matrices, alone"].append(multiply(None))
            spent["the same beside the writing"].append(
                multiply(
                    lambda content=content: write_state_and_delete_oldest(Path(folder), content, 1)
                )
            )
            with append_seconds(spent["read and check"]):
                load_state(max(Path(folder).iterdir()), run, CPU)
    click.echo(f"{preset}: {format_bytes(size)}")
    for name, seconds in spent.items():
        seconds.sort()
        click.echo(
            f"{name:50s} {seconds[len(seconds) // 2]:8.4f} s  "
            f"({seconds[0]:.4f} to {seconds[-1]:.4f})"
        )


def multiply(beside: Callable[[], object] | None) -> float:
    """Return mean seconds of small multiplications in the main thread, with work beside them."""
    matrix, count = torch.ones(1024, 1024), 0
    with BackgroundJob() as background:
        if beside is not None:
            background.submit(lambda: (beside(), None)[1])
        start = time.perf_counter()
        while background.running if beside is not None else count < 20:
            torch.mm(matrix, matrix)
            count += 1
        return (time.perf_counter() - start) / max(count, 1)


@main.command("hooks")
@click.option("--preset", default="demo", show_default=True)
@click.option("--data", type=PATH, required=True)
@click.option("--total-kimg", type=float, help="A shorter run.")
def measure_hooks(preset: str, data: Path, total_kimg: float | None) -> None:
    """Train, and print the share of each hook."""
    dataset = Dataset.open(data)
    run = presets.change_preset(presets.preset(preset), {}, dataset.resolution)
    run = fit_to_dataset(run, dataset)
    run = override(run, {"total_kimg": total_kimg} if total_kimg else {})
    set_up_cpu(run.threads)
    clock: dict[str, float] = defaultdict(float)
    processor: dict[str, float] = defaultdict(float)
    for name in (
        "make_status_line_hook",
        "make_statistics_hook",
        "make_sample_grid_hook",
        "make_snapshot_hook",
    ):
        setattr(hooks, name, time_hook(getattr(hooks, name), name, clock, processor))
    leave = CheckpointWriter.__exit__
    CheckpointWriter.__exit__ = add_up_time(leave, "waiting at the end", clock, processor)  # type: ignore
    with tempfile.TemporaryDirectory() as folder:
        session = TrainContext(
            run=run,
            dataset=dataset,
            directory=Path(folder),
            device=CPU,
            log=Log(Path(folder) / "log.txt"),
        )
        add_up_time(train, "all", clock, processor)(session, create_state(run, CPU))
    for name in clock:
        click.echo(
            f"{name:20s} {clock[name]:8.2f} s  {100 * clock[name] / clock['all']:6.2f} %   "
            f"CPU {processor[name]:8.2f} s  "
            f"{100 * processor[name] / processor['all']:6.2f} %"
        )


def time_hook(make: Callable[..., Any], *rest: Any) -> Callable[..., Any]:
    return lambda *args: add_up_time(make(*args), *rest)


def add_up_time(
    function: Callable[..., Any], name: str, clock: dict[str, float], processor: dict[str, float]
) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        start, start_processor = time.perf_counter(), time.thread_time()
        try:
            return function(*args)
        finally:
            clock[name] += time.perf_counter() - start
            processor[name] += time.thread_time() - start_processor

    return call


@contextmanager
def append_seconds(into: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


if __name__ == "__main__":
    main()
