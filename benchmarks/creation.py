"""Time create-from-images beside decoding alone.

    python benchmarks/creation.py --source photos --resolution 256 --json results/creation.json

Three jobs take turns, with equal numbers of threads: `decode` reads and decodes every image;
`least` also hashes and writes as many bytes as all levels have, the lower bound of any creation;
`create` is create-from-images. Wall time decides; CPU time is less disturbed by other programs.
"""

import hashlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import PATH, describe_machine, format_spread, json_option, write_json
from progan.data.importers.file_source import open_file_source
from progan.data.importers.images import ImageOptions, import_images
from progan.data.importers.pixels import decode_image
from progan.data.writer import write_dataset
from progan.runtime.workers import worker_pool
from progan.sizes import level_of

Job = Callable[[Path], None]


@click.command()
@click.option("--source", type=PATH, required=True)
@click.option("--resolution", type=int, required=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--runs", default=5, show_default=True)
@json_option
def main(source: Path, resolution: int, workers: int, runs: int, json_file: Path | None) -> None:
    """Time the jobs and print images per second: minimum, median and maximum."""
    count, jobs = make_jobs(source, resolution, workers)
    speeds: dict[str, list[float]] = {kind: [] for kind in jobs}
    cpu_ms: dict[str, list[float]] = {kind: [] for kind in jobs}
    for run in range(runs + 1):
        for kind, job in jobs.items():
            wall, cpu = measure_seconds(job)
            if run:
                speeds[kind].append(count / wall)
                cpu_ms[kind].append(1000 * cpu / count)
    for kind, values in speeds.items():
        click.echo(
            f"{kind}: {format_spread(values)} images/s, {format_spread(cpu_ms[kind])} ms of CPU "
            "time per image"
        )
    if json_file is not None:
        record = {"machine": describe_machine(), "command": " ".join(["python", *sys.argv]),
                  "images": count, "workers": workers, "images_per_second": speeds,
                  "processor_ms_per_image": cpu_ms}  # fmt: skip
        write_json(json_file, record)


def make_jobs(source: Path, resolution: int, workers: int) -> tuple[int, dict[str, Job]]:
    """Return the number of images and the jobs, which write into a folder."""
    tree, paths, _ = open_file_source(source)
    num_bytes = sum(3 * 4**level for level in range(2, level_of(resolution) + 1))
    levels, write_lock = np.zeros(num_bytes, np.uint8), threading.Lock()

    def decode(folder: Path) -> None:
        with worker_pool(workers, in_processes=False) as pool:
            list(pool.map(lambda path: decode_image(tree.read(path), path) and None, paths))

    def least(folder: Path) -> None:
        def process(number: int) -> None:
            decode_image(tree.read(paths[number]), paths[number])
            hashlib.sha256(levels).digest()
            with write_lock:  # two writers of one file would spin
                os.pwrite(file.fileno(), levels, number * levels.size)

        with worker_pool(workers, in_processes=False) as pool, (folder / "b").open("wb") as file:
            list(pool.map(process, range(len(paths))))
            os.fsync(file.fileno())

    def create(folder: Path) -> None:
        images = import_images(source, ImageOptions(resolution=resolution), lambda text: None)
        write_dataset(images, folder / "d", workers=workers)

    return len(paths), {"decode": decode, "least": least, "create": create}


def measure_seconds(function: Job) -> tuple[float, float]:
    """Return wall and CPU seconds of a call in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        os.sync()  # pending writes of others do not count
        start, used = time.perf_counter(), time.process_time()
        function(Path(folder))
        return time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    main()
