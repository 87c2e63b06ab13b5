"""python -m progan.report: a run as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metrics.options import PIXELS, SourceOptions, detector_option
from progan import run_directory
from progan.command import PATH, Command, device_option, format_path
from progan.errors import UserError
from progan.runtime.files import require_detector, require_existing, require_writable_file
from progan.runtime.text import escape_controls
from progan.runtime.torch_settings import set_omp_passive

if TYPE_CHECKING:
    from progan.report.page import BuildSection
    from progan.report.run_data import RunData

REPORT_FILE = "report.html"
RUN_FILES = (run_directory.CONFIG_FILE, run_directory.STATISTICS_FILE)


# fmt: off
@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--output", type=PATH, metavar="FILE",
    help=f"File to write; default: {REPORT_FILE} in the directory of the run.")
@click.option("--neighbours", "count", type=click.IntRange(min=0), default=0, metavar="N",
    help="Search the training images nearest to the images of seeds 0 … N-1; needs the "
    "dataset. Default: show what python -m metrics neighbours has stored.")
@click.option("--data", type=PATH, metavar="DIR", help="Dataset for --neighbours, if it was moved.")
@detector_option
@device_option
# fmt: on
def main(
    run: Path,
    output: Path | None,
    count: int,
    data: Path | None,
    detector: Path | None,
    device: str,
) -> None:
    """Write one HTML file that shows a run: status, samples over time, curves, settings.

    RUN is the directory of a run, or a directory of runs: its newest. The run may still be
    training. The file needs nothing else: no network, no dataset, no other file.

    \b
    python -m progan.report runs
    python -m progan.report runs/00000-mine-v2-1gpu --output mine.html --neighbours 64
    """
    if (data or detector) and not count:
        raise UserError(
            "--data and --detector need --neighbours with a number of images, such as "
            "--neighbours 64."
        )
    found = run_directory.find_run_or_state(run)
    directory = found if found.is_dir() else found.parent
    if found.is_file() and not any((directory / name).is_file() for name in RUN_FILES):
        raise UserError(
            f"{found} is not in the directory of a run. Name the directory, which holds the "
            f"{run_directory.CONFIG_FILE} of train.py."
        )
    path = output or directory / REPORT_FILE
    require_writable_file(path, "--output")
    require_existing([data], "Name the dataset with --data.")
    require_detector(None if str(detector) == PIXELS else detector)
    set_omp_passive()
    from progan.report.page import render_page
    from progan.report.run_data import read_run
    from progan.runtime.files import write_atomically

    run_data = read_run(directory)
    if run_data.config_error:
        warning = f"Warning: {run_data.config_error} The report lacks what depends on it."
        click.echo(escape_controls(warning), err=True)
    neighbours = _choose_neighbours_section(run_data, count, data, detector, device)
    write_atomically(path, render_page(run_data, neighbours))
    click.echo(format_path(path))


def _choose_neighbours_section(
    run_data: "RunData", count: int, data: Path | None, detector: Path | None, device: str
) -> "BuildSection":
    """Search neighbours now if asked to, so that errors end the command; else read stored ones."""
    from progan.report import metrics, neighbours
    from progan.sampling.snapshot_file import NETWORK_SUFFIX

    if not count:
        return lambda: neighbours.build_stored_section(run_data)
    directory = run_data.directory
    images_seen = metrics.read_images_seen_by_network(directory)
    measurements = metrics.read_measurements(directory, run_data.settings)
    network, _ = metrics.choose_best_network(images_seen, measurements, run_data.settings)
    sources = SourceOptions(
        network=directory / f"{network}{NETWORK_SUFFIX}",
        data=data or neighbours.find_dataset(run_data),
        subset=run_data.run.data.subset,
        detector=detector,
        device=device,
    )
    found = neighbours.build_searched_section(
        sources, count, mirror=run_data.run.data.mirror
    )
    return lambda: found
