"""python -m metrics: measure pictures."""

from pathlib import Path
from typing import Any

import click

from metrics.compare_cli import compare
from metrics.discrete_modes_cli import discrete_modes
from metrics.names import DEFAULT, DESCRIPTIONS
from metrics.neighbours_cli import neighbours
from metrics.options import named, record_option, repeats_option, require_files, source_options
from progan.command import Command, hyphenate
from progan.runtime.torch_settings import set_omp_passive

METRIC_LIST = "\b\nMetrics:\n" + "\n".join(
    f"  {name:14}  {DESCRIPTIONS[name]}" for name in DESCRIPTIONS
)
COMMANDS = {command.name: command for command in (neighbours, discrete_modes, compare)}


class Metrics(Command):
    """Measures, unless the first word names a command of its own."""

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
    help="How many images to compare with as "
    "many reals; half of the reals if not given, 16384 at most.",
)
@click.option(
    "--mirror",
    is_flag=True,
    help="Flip half of the reals left to right, as train.py --mirror does.",
)
@click.option(
    "--held-out",
    is_flag=True,
    help="Measure against the images that were held out of "
    "training, where learning by heart gains nothing.",
)
@repeats_option
@record_option
def main(
    names: tuple[str, ...],
    network: Path | None,
    images: Path | None,
    data: Path | None,
    reference: Path | None,
    subset: str,
    resize: int | None,
    detector: Path | None,
    num_images: int | None,
    mirror: bool,
    held_out: bool,
    repeats: int,
    no_record: bool,
    seed: int,
    json_file: Path | None,
    device: str,
) -> None:
    """Measure pictures against real ones, with the metrics named, or with swd and ms-ssim.

    The row 'reals against reals' says what the same numbers are for pictures that nobody can
    tell from the reals. A run has one row for each of its snapshots.

    \b
    python -m metrics --network runs/00000-mine-v2-1gpu --data datasets/mine
    python -m metrics fid kid --images pictures.zip --reference photos --repeats 5
    python -m metrics neighbours --help       the nearest training images, as a sheet
    python -m metrics discrete-modes --help   the modes of MNIST-RGB
    python -m metrics compare --help          several runs in one table and on one sheet
    """
    measured = named(network, images, "What to measure? Name either a --network or --images.")
    against = named(
        data,
        reference,
        "Measure against what? Name the real images, either as --data or as --reference.",
    )
    require_files(measured, against, detector=detector, json_file=json_file)
    set_omp_passive()
    from metrics.request import Request, answer

    click.echo(
        answer(
            Request(
                names=tuple(dict.fromkeys(names)) or DEFAULT,
                images=measured,
                is_network=network is not None,
                reals=against,
                num_images=num_images,
                repeats=repeats,
                resize=resize,
                subset=subset,
                mirror=mirror,
                held_out=held_out,
                detector=detector,
                seed=seed,
                json_file=json_file,
                record=not no_record,
                device=device,
            )
        )
    )
