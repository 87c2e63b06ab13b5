"""python -m progan.report: a run as one HTML file."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from metrics.neighbours_cli import PIXELS
from metrics.options import detector_option
from progan import run_directory
from progan.command import PATH, Command, device_option
from progan.errors import UserError
from progan.runtime.files import require_detector, require_existing, require_writable_file
from progan.runtime.text import escape_controls
from progan.runtime.torch_settings import set_omp_passive

if TYPE_CHECKING:
    from progan.report.markup import Material
    from progan.report.page import Section

REPORT_FILE = "report.html"


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    help=f"What to write; {REPORT_FILE} in the directory of the run if not given.",
)
@click.option(
    "--neighbours",
    "count",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Look up the nearest training images of the seeds 0 … N-1, which takes the "
    "dataset. Without it those are shown that python -m metrics neighbours has left.",
)
@click.option(
    "--data",
    type=PATH,
    metavar="DIR",
    help="The dataset, for --neighbours, if it is not where it was.",
)
@detector_option
@device_option
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
            "--data and --detector are for --neighbours: say how many images to look "
            "up, such as --neighbours 64."
        )
    found = run_directory.find_run_or_state(run)
    directory = found if found.is_dir() else found.parent
    path = output or directory / REPORT_FILE
    require_writable_file(path, "--output")
    require_existing([data], "Name the dataset with --data.")
    require_detector(None if str(detector) == PIXELS else detector)
    set_omp_passive()
    from progan.report.markup import read
    from progan.report.page import page
    from progan.runtime.files import write_atomically

    material = read(directory)
    if material.trouble:
        click.echo(
            escape_controls(f"Warning: {material.trouble} The report lacks what depends on it."),
            err=True,
        )
    neighbours = _neighbours(material, count, data, detector, device)
    write_atomically(path, page(material, neighbours))
    click.echo(click.format_filename(path))


def _neighbours(
    material: "Material", count: int, data: Path | None, detector: Path | None, device: str
) -> "Section":
    """What makes the section; what was wished for and cannot be done is told at once."""
    from progan.report import metrics as best
    from progan.report import metrics as measured
    from progan.report import neighbours
    from progan.sampling.network_file import SUFFIX

    if not count:
        return lambda: neighbours.left(material)
    known = measured.networks(material.directory)
    choice = best.chosen(known, measured.measured(material.directory), material.settings)
    wish = neighbours.Wish(count=count, data=data, detector=detector, device=device)
    made = neighbours.looked_up(material, material.directory / f"{choice.name}{SUFFIX}", wish)
    return lambda: made
