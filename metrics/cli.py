"""python -m metrics: measure images."""

from typing import Any

import click

from metrics.compare_cli import compare
from metrics.discrete_modes_cli import discrete_modes
from metrics.names import DEFAULT, DESCRIPTIONS
from metrics.neighbours_cli import neighbours
from metrics.options import SourceOptions, record_option, repeats_option, source_options
from progan.command import Command, hyphenate
from progan.runtime.torch_settings import set_omp_passive

METRIC_LIST = "\b\nMetrics:\n" + "\n".join(
    f"  {name:14}  {description}" for name, description in DESCRIPTIONS.items()
)
COMMANDS = {command.name: command for command in (neighbours, discrete_modes, compare)}


class Metrics(Command):
    """A command that measures, unless its first argument names one of COMMANDS."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        command = COMMANDS.get(hyphenate(args[0])) if args else None
        if command is not None:
            return command.make_context(f"{info_name} {command.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(cls=Metrics, epilog=METRIC_LIST)
@click.argument("names", nargs=-1, type=click.Choice(tuple(DESCRIPTIONS)), metavar="[METRIC]...")
@source_options()
@click.option(
    "--num-images",
    type=click.IntRange(min=2),
    help="Number of images, and of reals that they are compared with; by default half of the "
    "reals, 16384 at most.",
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Flip half of the reals left to right, as train.py --mirror does.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Compare with the images that were held out of training, where memorising training "
    "images gains nothing.",
)
@repeats_option
@record_option
def main(
    names: tuple[str, ...],
    sources: SourceOptions,
    num_images: int | None,
    mirror: bool,
    held_out: bool,
    repeats: int,
    no_record: bool,
) -> None:
    """Compare images with real ones by the given metrics; by swd and ms-ssim if none is given.

    The row 'reals against reals' is the baseline: the same metrics between two sets of reals. A
    run has one row for each of its snapshots.

    \b
    python -m metrics --network runs/00000-mine-v2-1gpu --data datasets/mine
    python -m metrics fid kid --images images.zip --reference photos --repeats 5
    python -m metrics neighbours --help       the nearest training images, as a sheet
    python -m metrics discrete-modes --help   the modes of MNIST-RGB
    python -m metrics compare --help          several runs in one table and on one sheet
    """
    sources.require_files(sources.detector)
    set_omp_passive()
    from metrics.measure import measure

    table = measure(
        tuple(dict.fromkeys(names)) or DEFAULT,
        sources,
        num_images=num_images,
        repeats=repeats,
        mirror=mirror,
        held_out=held_out,
        record=not no_record,
    )
    click.echo(table)
