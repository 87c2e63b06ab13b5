"""python -m metrics: measure pictures."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from metrics.names import DEFAULT, DESCRIPTIONS
from progan.door import PATH, Door, device_option
from progan.errors import UserError
from progan.runtime.threads import wait_politely

if TYPE_CHECKING:
    from metrics.sources import Source

F = TypeVar("F", bound=Callable[..., object])

METRIC_LIST = "\b\nMetrics:\n" + "\n".join(f"  {name:8} {DESCRIPTIONS[name]}"
                                           for name in DESCRIPTIONS)


def source_options(command: F) -> F:
    """The options that name images and reals, and how they are computed."""
    for option in reversed((
        click.option("--network", type=PATH, metavar="FILE|RUN", help="Measure what a network "
                     "draws from the seeds 0, 1, 2 …: a network file, or the directory of a run."),
        click.option("--images", type=PATH, metavar="PATH",
                     help="Measure images: a dataset, or a folder or zip file of images."),
        click.option("--data", type=PATH, metavar="DIR",
                     help="Real images: the dataset of the network."),
        click.option("--reference", type=PATH, metavar="PATH",
                     help="The same as --data: any dataset, folder or zip file of images."),
        click.option("--resize", type=click.IntRange(1, 4096), metavar="SIDE",
                     help="Bring all images to SIDE x SIDE px first."),
        click.option("--detector", type=PATH, metavar="FILE", help="Where features come from: "
                     "weights of Inception or VGG-16, or any TorchScript network of images uint8 "
                     "[N, 3, H, W]; fetched if not given."),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
                     help="Seed of the draws."),
        click.option("--json", "json_file", type=PATH, metavar="FILE",
                     help="Append JSON lines to it."),
        device_option,
    )):
        command = option(command)
    return command


@click.command(cls=Door, epilog=METRIC_LIST)
@click.argument("names", nargs=-1, type=click.Choice(tuple(DESCRIPTIONS)), metavar="[METRIC]...")
@source_options
@click.option("--num-images", type=click.IntRange(min=2), help="How many images to compare with as "
              "many reals; half of the reals if not given, 16384 at most.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, show_default=True,
              help="Measure so often, with other draws, and give mean ± standard deviation.")
def main(names: tuple[str, ...], network: Path | None, images: Path | None, data: Path | None,
         reference: Path | None, resize: int | None, detector: Path | None, num_images: int | None,
         repeats: int, seed: int, json_file: Path | None, device: str) -> None:
    """Measure pictures against real ones, with the metrics named, or with swd and ms-ssim.

    The row 'reals against reals' says what the same numbers are for pictures that nobody can
    tell from the reals. A run has one row for each of its snapshots.

    \b
    python -m metrics --network runs/00000-mine-v2-1gpu --data datasets/mine
    python -m metrics fid kid --images pictures.zip --reference photos --repeats 5
    python -m metrics neighbours --help       the nearest training images, as a sheet
    """
    measured = named(network, images, "What to measure? Name either a --network or --images.")
    against = named(data, reference, "Measure against what? Name the real images, either as "
                    "--data or as --reference.")
    wait_politely()
    from metrics.detector import open_detector
    from metrics.evaluation import evaluate, plan_for
    from metrics.report import append_lines, records, table
    from metrics.setup import Setup
    from metrics.sources import open_network, open_pair, to_side
    from metrics.table import METRICS
    from progan.runtime.devices import choose, set_precision
    from progan.sampling.network_file import find_networks

    target = choose(device)
    set_precision("fp32")  # TF32 keeps three digits
    files = [measured] if network is None else find_networks(measured)
    newest, reals = open_pair(files[-1], against, target, network=network is not None,
                              resize=resize)
    plan = plan_for(newest, reals, tuple(dict.fromkeys(names)) or DEFAULT, num_images,
                    repeats=repeats)
    needed = any(METRICS[name].needs_detector for name in plan.names)
    setup = Setup(seed=seed, device=target,
                  detector=open_detector(detector, "inception", target) if needed else None)

    def snapshot(path: Path) -> "Source":
        source = open_network(path, target)
        return source if resize is None else to_side(source, resize)

    rows = []
    for row in evaluate({"images against reals": lambda: newest} if len(files) == 1 else
                        {path.stem: partial(snapshot, path) for path in files},
                        reals, plan, setup):
        rows.append(row)
        if json_file is not None:
            append_lines(json_file, records(row, str(measured), reals, plan, setup))
    click.echo(table(str(measured), reals, plan, rows))


def named(first: Path | None, second: Path | None, question: str) -> Path:
    """The one of two options that was given; raises UserError if none was, or both."""
    if first is not None and second is not None:
        raise UserError(f"{question} Both are too many.")
    chosen = first or second
    if chosen is None:
        raise UserError(question)
    return chosen
