"""How fast create-from-images is, beside what decoding alone takes.

    python benchmarks/creation.py --source pictures --json benchmarks/results/creation.json

Three jobs take turns, with as many threads: `decode` reads and decodes every image and forgets it;
`least` decodes them too, and hashes and writes as many bytes as all levels have, which no creation
can do without; `create` is the real thing. Wall time decides; the processors' time beside it is
what other programs on the machine disturb less.
"""

import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.metrics import machine
from progan.data.importers.file_source import open_file_source
from progan.data.importers.images import ImageOptions, import_images
from progan.data.importers.pixels import decode_image
from progan.data.writer import write_dataset
from progan.runtime.worker_pool import worker_pool
from progan.sizes import level_of


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True)
@click.option("--resolution", type=int, required=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Result file to write.")
def main(source: Path, resolution: int, workers: int, runs: int, json_file: Path | None) -> None:
    """Time both and print images per second: minimum, median and maximum."""
    tree, paths, _ = open_file_source(source)

    def decode(folder: Path) -> None:
        with worker_pool(workers, in_processes=False) as pool:
            list(pool.map(lambda path: decode_image(tree.read(path), path) and None, paths))

    def least(folder: Path) -> None:
        levels = np.zeros(
            sum(3 * 4**level for level in range(2, level_of(resolution) + 1)), np.uint8
        )

        def one(number: int) -> None:
            decode_image(tree.read(paths[number]), paths[number])
            hashlib.sha256(levels).digest()
            with one_writes:  # two would wait for the same file, and spin
                os.pwrite(file.fileno(), levels, number * levels.size)

        one_writes = threading.Lock()
        with (
            worker_pool(workers, in_processes=False) as pool,
            (folder / "bytes").open("wb") as file,
        ):
            list(pool.map(one, range(len(paths))))
            os.fsync(file.fileno())

    def create(folder: Path) -> None:
        images = import_images(source, ImageOptions(resolution=resolution), lambda text: None)
        write_dataset(images, folder / "d", workers=workers)

    jobs: dict[str, Callable[[Path], None]] = {"decode": decode, "least": least, "create": create}
    speeds: dict[str, list[float]] = {kind: [] for kind in jobs}
    processors: dict[str, list[float]] = {kind: [] for kind in jobs}
    for run in range(runs + 1):
        for kind, function in jobs.items():
            wall, cpu = timed(function)
            if run:
                speeds[kind].append(len(paths) / wall)
                processors[kind].append(1000 * cpu / len(paths))
    for kind, values in speeds.items():
        click.echo(
            f"{kind}: {spread(values)} images/s, {spread(processors[kind])} ms of "
            "processor time for each"
        )
    if json_file is not None:
        record = {
            "machine": machine(),
            "command": " ".join(["python", *sys.argv]),
            "images": len(paths),
            "workers": workers,
            "images_per_second": speeds,
            "processor_ms_per_image": processors,
        }
        json_file.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def spread(values: list[float]) -> str:
    """Minimum, median and maximum."""
    return ", ".join(
        f"{value:.3g}" for value in (min(values), statistics.median(values), max(values))
    )


def timed(function: Callable[[Path], None]) -> tuple[float, float]:
    """Seconds that a call takes, and those of all processors; its folder is removed after that."""
    with tempfile.TemporaryDirectory() as folder:
        os.sync()  # what others have written is not waited for
        start, used = time.perf_counter(), time.process_time()
        function(Path(folder))
        return time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    main()
