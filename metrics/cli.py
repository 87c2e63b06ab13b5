"""python -m metrics: measure pictures."""

from pathlib import Path

import click

from metrics.names import DESCRIPTIONS
from progan.door import PATH, Door, device_option
from progan.errors import UserError
from progan.runtime.threads import wait_politely

METRIC_LIST = "\b\nMetrics:\n" + "\n".join(f"  {name:8} {DESCRIPTIONS[name]}"
                                           for name in DESCRIPTIONS)


@click.command(cls=Door, epilog=METRIC_LIST)
@click.argument("names", nargs=-1, type=click.Choice(tuple(DESCRIPTIONS)), metavar="[METRIC]...")
@click.option("--network", type=PATH, metavar="FILE|RUN",
              help="Measure what a network draws from the seeds 0, 1, 2 …: a network file, or the "
              "directory of a run.")
@click.option("--images", type=PATH, metavar="PATH",
              help="Measure images: a dataset, or a folder or zip file of images.")
@click.option("--data", type=PATH, metavar="DIR", help="Real images: the dataset of the network.")
@click.option("--reference", type=PATH, metavar="PATH",
              help="The same as --data: any dataset, folder or zip file of images.")
@click.option("--num-images", type=click.IntRange(min=2), help="How many images to compare with as "
              "many reals; half of the reals if not given, 16384 at most.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, show_default=True,
              help="Measure so often, with other draws, and give mean ± standard deviation.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the draws.")
@click.option("--json", "json_file", type=PATH, metavar="FILE", help="Append JSON lines to it.")
@device_option
def main(names: tuple[str, ...], network: Path | None, images: Path | None, data: Path | None,
         reference: Path | None, num_images: int | None, repeats: int, seed: int,
         json_file: Path | None, device: str) -> None:
    """Measure pictures against real ones, with all metrics or with those named.

    The row 'reals against reals' says what the same numbers are for pictures that nobody can
    tell from the reals.

    \b
    python -m metrics --network runs/00000-mine-v2-1gpu --data datasets/mine
    python -m metrics swd --images pictures.zip --reference photos --repeats 5
    """
    measured = _one(network, images, "What to measure? Name either a --network or --images.")
    reals = _one(data, reference, "Measure against what? Name the real images, either as --data "
                 "or as --reference.")
    wait_politely()
    from metrics.evaluation import evaluate, plan_for
    from metrics.report import append_lines, records, table
    from metrics.sources import open_pair
    from progan.runtime.devices import choose, set_precision

    target = choose(device)
    set_precision("fp32")  # TF32 keeps three digits, too few for the variances of ms-ssim
    pair = open_pair(measured, reals, target, network=network is not None)
    chosen = tuple(dict.fromkeys(names)) or tuple(DESCRIPTIONS)
    plan = plan_for(*pair, chosen, num_images, seed=seed, repeats=repeats)
    rows = evaluate(*pair, plan, target)
    click.echo(table(*pair, rows))
    if json_file is not None:
        append_lines(json_file, records(*pair, plan, rows))


def _one(first: Path | None, second: Path | None, question: str) -> Path:
    if first is not None and second is not None:
        raise UserError(f"{question} Both are too many.")
    chosen = first or second
    if chosen is None:
        raise UserError(question)
    return chosen
