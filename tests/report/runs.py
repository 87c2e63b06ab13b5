"""Directories of runs that nobody trained."""

import json
from pathlib import Path

import numpy as np

from progan import run_directory
from progan.config import Run
from progan.images import save_png
from progan.sampling.snapshot_file import NETWORK_SUFFIX, SNAPSHOT_PREFIX, Snapshot, save_network
from progan.training.sample_grids import IMAGES_SEEN, choose_layout
from tests.builders import tiny_run, tiny_snapshot
from tests.diagnosis.synthetic import history, steps

LOG = """2026-01-02 03:04:05  progan 0.1.0, torch 2.11, cpu (1 thread)
2026-01-02 03:04:05  runs/00000-x: x, 40 images, 16x16x3; preset tiny; from kimg 0 to 7.5
2026-01-02 03:09:05  Stopped by SIGTERM at kimg 4.0; everything is saved. To resume: …
2026-01-02 04:04:05  progan 0.2.0, torch 2.12, cuda (NVIDIA H100), 2 processes
2026-01-02 04:14:05  Done. Generate images: …
"""


def made_run(outdir: Path, name: str = "x", settings: Run | None = None) -> Path:
    """A whole run: twenty ticks, eight grids, two snapshots, a metric of both."""
    run = settings or tiny_run()
    directory = run_directory.create_run(outdir, name, run)
    rows = history(steps(160, noise=0.1), tick=8, batch=32, objective=run.loss.objective).rows
    write_lines(
        directory / "stats.jsonl",
        *(
            {
                **row,
                "progress/hours": row["images_seen"] / 10000,
                "memory/peak-gib": 1.5,
                "speed/images-per-second": 500.0 / place,
            }
            for place, row in enumerate(rows, 1)
        ),
    )
    (directory / "log.txt").write_text(LOG)
    for images_seen in range(0, 5600, 700):
        write_grid(directory, images_seen, run)
    write_picture(directory / "reals.png", run)
    for images_seen in (2000, 5000):
        write_network(directory, images_seen)
    write_lines(directory / "metric-swd8.jsonl", *(metric(2000, 9.0), metric(5000, 4.0)))
    return directory


def write_lines(path: Path, *lines: object) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_grid(directory: Path, images_seen: int, run: Run) -> None:
    name = f"fakes-{images_seen // 1000:06d}_{images_seen % 1000:03d}.png"
    path = directory / (name if images_seen else "fakes-init.png")
    write_picture(path, run, {IMAGES_SEEN: str(images_seen)}, images_seen)


def write_picture(path: Path, run: Run, text: dict[str, str] | None = None, seed: int = 0) -> None:
    """Flat cells, as in the sample grids of the run."""
    place = choose_layout(run.network)
    cells = (
        np.random.RandomState(seed)
        .randint(0, 256, (place.rows, place.columns, run.network.channels))
        .astype(np.uint8)
    )
    save_png(path, cells.repeat(place.cell.height, 0).repeat(place.cell.width, 1), text)


def write_network(directory: Path, images_seen: int) -> None:
    snapshot = tiny_snapshot()
    save_network(
        directory / f"{SNAPSHOT_PREFIX}{images_seen // 1000:06d}{NETWORK_SUFFIX}",
        Snapshot(generator=snapshot.generator, level=4, alpha=1.0, images_seen=images_seen),
    )


def metric(images_seen: int, value: float) -> dict[str, object]:
    """What a training writes down of a snapshot."""
    return {
        "images_seen": images_seen,
        "kimg": images_seen / 1000,
        "hours": 1,
        "seconds": 1,
        "values": {"SWDx1e3_16": value, "SWDx1e3_avg": value + 1},
        "reals": {"SWDx1e3_16": 2.0, "SWDx1e3_avg": 2.5},
    }
