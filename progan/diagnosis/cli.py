"""python -m progan.diagnosis: the status of a training."""

from pathlib import Path

import click

from progan import run_directory
from progan.command import PATH, Command
from progan.errors import UserError
from progan.runtime.files import require_writable_file

FAILING = 3  # exit code; 1 is a mistake and 2 a mistyped command


@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option(
    "--plot",
    "picture",
    type=PATH,
    metavar="FILE.png",
    help="Write the learning curves: losses, accuracies or scores, diversity and "
    "gradients, over the phases of growth.",
)
def main(run: Path, picture: Path | None) -> None:
    """Check the curves of a training for faults; print evidence and what to change.

    RUN is the directory of a run, or a directory of runs: its newest. The run may still be
    training.

    \b
    python -m progan.diagnosis runs
    python -m progan.diagnosis runs/00000-mine-v2-1gpu --plot curves.png

    "ok" means that the checks found nothing wrong in the curves. Whether samples are good cannot
    be seen from them.

    Exit code: 0 if nothing was found, for warnings, or if it is too early to tell; 3 if the
    training is failing.
    """
    if picture is not None:
        require_writable_file(picture, "--plot")
    from progan.diagnosis.diagnose import diagnose
    from progan.diagnosis.history import read_history
    from progan.diagnosis.report import report

    found = run_directory.find_run_or_state(run)
    directory = found if found.is_dir() else found.parent
    history = read_history(directory)
    if not history.rows and (picture or not history.fault):
        raise UserError(f"{directory} has no statistics yet: they come with the first tick.")
    verdict = diagnose(history)
    click.echo(f"{click.format_filename(directory)}\n{report(verdict, history.rows)}")
    if picture is not None:
        from progan.diagnosis.curves import plot

        plot(picture, history, verdict, f"{directory.name}: {verdict.brief}")
        click.echo(f"\nLearning curves: {click.format_filename(picture)}")
    if verdict.failing:
        raise click.exceptions.Exit(FAILING)
