"""How fast create-from-images is, beside what decoding alone takes.

    python benchmarks/creation.py --source pictures --json benchmarks/results/creation.json

Decoding reads and decodes every image with as many threads, and nothing else; both take turns.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.metrics import machine  # noqa: E402
from progan.data.importers.images import ImageOptions, import_images  # noqa: E402
from progan.data.importers.pixels import decoded  # noqa: E402
from progan.data.importers.tree import open_tree  # noqa: E402
from progan.data.pool import worker_pool  # noqa: E402
from progan.data.writer import write_dataset  # noqa: E402


@click.command()
@click.option("--source", type=click.Path(path_type=Path), required=True)
@click.option("--resolution", type=int, required=True)
@click.option("--workers", default=2, show_default=True)
@click.option("--runs", default=5, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Result file to write.")
def main(source: Path, resolution: int, workers: int, runs: int, json_file: Path | None) -> None:
    """Time both and print images per second: minimum, median and maximum."""
    tree, paths, _ = open_tree(source)

    def decode() -> None:
        with worker_pool(workers, in_processes=False) as pool:
            list(pool.map(lambda path: decoded(tree.read(path), path), paths))

    def create() -> None:
        with tempfile.TemporaryDirectory() as folder:
            images = import_images(source, ImageOptions(resolution=resolution), lambda text: None)
            write_dataset(images, Path(folder, "d"), workers=workers)

    speeds: dict[str, list[float]] = {"decode": [], "create": []}
    for run in range(runs + 1):
        for kind, function in (("decode", decode), ("create", create)):
            seconds = timed(function)
            if run:
                speeds[kind].append(len(paths) / seconds)
    for kind, values in speeds.items():
        click.echo(f"{kind}: {min(values):.0f} {statistics.median(values):.0f} {max(values):.0f} "
                   "images/s")
    if json_file is not None:
        record = {"machine": machine(), "command": " ".join(["python", *sys.argv]),
                  "images": len(paths), "workers": workers, "images_per_second": speeds}
        json_file.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def timed(function: Callable[[], None]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
