"""How long a whole training takes, from the measured speed of each resolution.

    python benchmarks/schedule.py benchmarks/results/train-….json --variant eager-fp32

Sums what each phase of the preset takes at the measured images per second, and compares that
with a training of as many images that does not grow. Fades are counted as the resolution that
they lead to.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from progan import presets, schedule  # noqa: E402
from progan.config import Run  # noqa: E402
from progan.door import Door  # noqa: E402
from progan.errors import UserError  # noqa: E402
from progan.runtime.log import human_rate, human_seconds  # noqa: E402
from progan.training.plan import table  # noqa: E402


def seconds_by_resolution(run: Run, images_per_second: Mapping[int, float]) -> dict[int, float]:
    """What a run spends at each resolution."""
    spent: dict[int, float] = {}
    for phase in schedule.phases(run.growth, run.network):
        resolution, kimg = phase.stage.resolution, phase.end_kimg - phase.start_kimg
        spent[resolution] = spent.get(resolution, 0.0) + 1000 * kimg / (
            images_per_second[resolution])
    return spent


@click.command(cls=Door)
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--variant", default="eager-fp32", show_default=True)
def main(results: Path, variant: str) -> None:
    """Project a whole training, growing and not."""
    try:
        measured = json.loads(results.read_text("utf-8"))
        run = presets.preset(measured["preset"])
        speeds = {row["resolution"]: float(row["images_per_second"])
                  for row in measured["levels"] if row["name"] == variant}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{results} holds no results of benchmarks/train.py.") from error
    resolutions = [phase.stage.resolution for phase in schedule.phases(run.growth, run.network)]
    if missing := sorted(set(resolutions) - set(speeds)):
        raise UserError(f"{results} has no {variant} at {', '.join(map(str, missing))}. Measure "
                        f"these with python benchmarks/train.py --preset {run.preset}.")
    spent = seconds_by_resolution(run, speeds)
    total, whole = sum(spent.values()), 1000 * run.growth.total_kimg / speeds[resolutions[-1]]
    click.echo(table([("resolution", "img/s", "time", "share"), *(
        (str(each), human_rate(speeds[each]), human_seconds(seconds),
         f"{100 * seconds / total:.0f} %") for each, seconds in spent.items())]))
    click.echo(f"{measured['device']}, {variant}, {run.preset}, {run.growth.total_kimg:g} kimg: "
               f"{human_seconds(total)}; without growing {human_seconds(whole)}, "
               f"{whole / total:.2f} times as long")


if __name__ == "__main__":
    main()
