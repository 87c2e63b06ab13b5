"""The command `progan`, which has all commands as subcommands."""

import click

from metrics.cli import main as metrics
from progan.cli.dataset import main as dataset
from progan.cli.generate import main as generate
from progan.cli.push import main as push
from progan.cli.train import main as train
from progan.command import CommandGroup
from progan.diagnosis.cli import main as diagnosis
from progan.interop.cli import main as interop
from progan.projection.cli import main as projection
from progan.report.cli import main as report


@click.group(cls=CommandGroup)
def main() -> None:
    """Progressive growing of GANs: from a folder of images to generated ones."""


for _name, _command in {
    "dataset": dataset,
    "train": train,
    "generate": generate,
    "metrics": metrics,
    "diagnosis": diagnosis,
    "report": report,
    "interop": interop,
    "projection": projection,
    "push": push,
}.items():
    main.add_command(_command, _name)
