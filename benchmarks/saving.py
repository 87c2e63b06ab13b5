"""What saving costs a training: how long it waits, and how much its hooks take of its time.

    python benchmarks/saving.py state --preset v2-1gpu
    python benchmarks/saving.py hooks --preset demo --data demo/portraits

`state` saves the full state of a preset, with moments, to --outdir: the copy is what training
waits for, the rest happens beside it. `hooks` trains the preset and adds up what each hook, the
copies among them, and the end of the training take. Times are of the clock; those of the main
thread's processor say the same on a machine where other work runs beside.
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

from progan import presets
from progan.config import override
from progan.data.reader import Dataset
from progan.runtime.background_job import BackgroundJob
from progan.runtime.files import human_bytes
from progan.runtime.log import Log
from progan.runtime.torch_settings import set_cpu_threads
from progan.runtime.weights_file import content_hash
from progan.training import hooks
from progan.training.checkpoint import copy_to_cpu, load_state, write_state
from progan.training.loop import TrainContext, train
from progan.training.saver import Saver
from progan.training.start import fit_to_dataset
from progan.training.state import create

CPU = torch.device("cpu")
PLACE = click.Path(path_type=Path)


@click.group()
def main() -> None:
    """Measure what saving costs."""


@main.command("state")
@click.option("--preset", default="v2-1gpu", show_default=True)
@click.option("--outdir", type=PLACE, help="Where to write; a temporary folder if not given.")
@click.option("--runs", default=5, show_default=True)
def measure_state(preset: str, outdir: Path | None, runs: int) -> None:
    """Time the copy of a state, its checksum, its writing and its reading."""
    run = presets.preset(preset)
    state = create(run, CPU)
    for optimizer in (state.g_optimizer, state.d_optimizer):
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
    spent: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(dir=outdir) as folder:
        for number in range(runs):
            state.images_seen = 1000 * number
            with timed(spent["copy (training waits)"]):
                content = copy_to_cpu(state, run)
            with timed(spent["checksum"]):
                content_hash(content)
            with timed(spent["checksum, write, fsync, rename"]):
                path = write_state(Path(folder), content, 1)
            size = path.stat().st_size
            spent["one multiplication of 1024x1024 matrices, alone"].append(multiply(None))
            spent["the same beside the writing"].append(
                multiply(lambda content=content: write_state(Path(folder), content, 1))
            )
            with timed(spent["read and check"]):
                load_state(max(Path(folder).iterdir()), run, CPU)
    click.echo(f"{preset}: {human_bytes(size)}")
    for name, seconds in spent.items():
        seconds.sort()
        click.echo(
            f"{name:50s} {seconds[len(seconds) // 2]:8.4f} s  "
            f"({seconds[0]:.4f} to {seconds[-1]:.4f})"
        )


def multiply(beside: Callable[[], object] | None) -> float:
    """Seconds of each of many small multiplications in the main thread, on average."""
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
@click.option("--data", type=PLACE, required=True)
@click.option("--total-kimg", type=float, help="A shorter run.")
def measure_hooks(preset: str, data: Path, total_kimg: float | None) -> None:
    """Train, and print the share of each hook."""
    dataset = Dataset.open(data)
    run = fit_to_dataset(presets.preset(preset), dataset, ())
    run = override(run, {"total_kimg": total_kimg} if total_kimg else {})
    set_cpu_threads(run.threads)
    clock: dict[str, float] = defaultdict(float)
    processor: dict[str, float] = defaultdict(float)
    for name in ("status_line", "curves", "sample_grid", "snapshots"):
        setattr(hooks, name, counting(getattr(hooks, name), name, clock, processor))
    leave = Saver.__exit__
    Saver.__exit__ = counted(leave, "waiting at the end", clock, processor)  # type: ignore
    with tempfile.TemporaryDirectory() as folder:
        session = TrainContext(
            run=run,
            dataset=dataset,
            directory=Path(folder),
            device=CPU,
            log=Log(Path(folder) / "log.txt"),
        )
        counted(train, "all", clock, processor)(session, create(run, CPU))
    for name in clock:
        click.echo(
            f"{name:20s} {clock[name]:8.2f} s  {100 * clock[name] / clock['all']:6.2f} %   "
            f"processor {processor[name]:8.2f} s  "
            f"{100 * processor[name] / processor['all']:6.2f} %"
        )


def counting(make: Callable[..., Any], *rest: Any) -> Callable[..., Any]:
    return lambda *args: counted(make(*args), *rest)


def counted(
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
def timed(into: list[float]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


if __name__ == "__main__":
    main()
