"""A command that has nothing to do: see test_signals.py."""

import click

from progan.command import Command


@click.command(cls=Command)
def main() -> None:
    """Say that it is done."""
    click.echo("done")
