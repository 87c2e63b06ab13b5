"""python -m metrics: measure pictures."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metrics.names import DEFAULT, DESCRIPTIONS
from metrics.neighbours_cli import neighbours
from metrics.options import named, source_options
from progan.door import Door
from progan.runtime.threads import wait_politely

if TYPE_CHECKING:
    from metrics.sources import Source

METRIC_LIST = "\b\nMetrics:\n" + "\n".join(f"  {name:8} {DESCRIPTIONS[name]}"
                                           for name in DESCRIPTIONS)


class Metrics(Door):
    """Measures, unless the first word is `neighbours`: that is a command of its own."""

    def make_context(self, info_name: str | None, args: list[str],
                     parent: click.Context | None = None, **extra: Any) -> click.Context:
        if args[:1] == [neighbours.name]:
            return neighbours.make_context(f"{info_name} {neighbours.name}", args[1:], parent,
                                           **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(cls=Metrics, epilog=METRIC_LIST)
@click.argument("names", nargs=-1, type=click.Choice(tuple(DESCRIPTIONS)), metavar="[METRIC]...")
@source_options
@click.option("--num-images", type=click.IntRange(min=2), help="How many images to compare with as "
              "many reals; half of the reals if not given, 16384 at most.")
@click.option("--mirror", is_flag=True, help="Flip half of the reals left to right, as train.py "
              "--mirror does.")
@click.option("--repeats", type=click.IntRange(min=1), default=1, show_default=True,
              help="Measure so often, with other draws, and give mean ± standard deviation.")
def main(names: tuple[str, ...], network: Path | None, images: Path | None, data: Path | None,
         reference: Path | None, resize: int | None, detector: Path | None, num_images: int | None,
         mirror: bool, repeats: int, seed: int, json_file: Path | None, device: str) -> None:
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
    from metrics.sources import mirrored, open_network, open_pair, to_side
    from metrics.table import METRICS
    from progan.runtime.devices import choose, set_precision
    from progan.sampling.network_file import find_networks

    target = choose(device)
    set_precision("fp32")  # TF32 keeps three digits
    files = [measured] if network is None else find_networks(measured)
    newest, reals = open_pair(files[-1], against, target, network=network is not None,
                              resize=resize)
    reals = mirrored(reals) if mirror else reals
    plan = plan_for(newest, reals, tuple(dict.fromkeys(names)) or DEFAULT, num_images,
                    repeats=repeats)
    needed = any(METRICS[name].needs_detector for name in plan.names)
    setup = Setup(seed=seed, device=target,
                  detector=open_detector(detector, "inception", target) if needed else None)

    def snapshot(path: Path) -> "Source":
        source = open_network(path, target)
        return source if resize is None else to_side(source, resize)

    if json_file is not None:
        append_lines(json_file, [])  # better refused now than when all is measured
    rows = []
    for row in evaluate({"images against reals": lambda: newest} if len(files) == 1 else
                        {path.stem: partial(snapshot, path) for path in files},
                        reals, plan, setup):
        rows.append(row)
        if json_file is not None:
            append_lines(json_file, records(row, str(measured), reals, plan, setup))
    click.echo(table(str(measured), reals, plan, rows))
