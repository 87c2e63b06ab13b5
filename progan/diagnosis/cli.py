"""python -m progan.diagnosis: show the status of a training."""

from pathlib import Path

import click

from progan import run_directory
from progan.command import PATH, Command, format_path
from progan.errors import UserError
from progan.runtime.files import require_writable_file

FAILING = 3  # exit code; 1: user error, 2: usage error


# fmt: off
@click.command(cls=Command)
@click.argument("run", type=PATH, metavar="RUN")
@click.option("--plot", type=PATH, metavar="FILE.png",
    help="Plot the learning curves to a file: losses, accuracies or scores, diversity and "
    "gradients, over the phases of growth.")
# fmt: on
def main(run: Path, plot: Path | None) -> None:
    """Check the curves of a training for problems; print evidence and what to change.

    RUN is the directory of a run, or a directory of runs: its newest. The run may still be
    training.

    \b
    python -m progan.diagnosis runs
    python -m progan.diagnosis runs/00000-mine-v2-1gpu --plot curves.png

    "ok" means that the checks found nothing wrong in the curves, which do not show whether samples
    are good.

    Exit code: 0 if nothing was found, for warnings, or if it is too early to tell; 3 if the
    training is failing.
    """
    if plot is not None:
        require_writable_file(plot, "--plot", suffix=".png")
    from progan.diagnosis.diagnose import diagnose
    from progan.diagnosis.history import read_history
    from progan.diagnosis.status import format_report

    found = run_directory.find_run_or_state(run)
    directory = found if found.is_dir() else found.parent
    history = read_history(directory)
    if not history.rows and (plot or not history.rollback):
        raise UserError(f"{directory} has no statistics yet: they come with the first tick.")
    status = diagnose(history)
    click.echo(f"{format_path(directory)}\n{format_report(status, history.rows)}")
    if plot is not None:
        from progan.diagnosis.curves import plot_curves

        plot_curves(plot, history, status, f"{directory.name}: {status.brief}")
        click.echo(f"\nLearning curves: {format_path(plot)}")
    if status.failing:
        raise click.exceptions.Exit(FAILING)
