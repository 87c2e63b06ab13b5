"""A command that has nothing to do: see test_entry.py."""

import click

from progan.door import Command


@click.command(cls=Command)
def main() -> None:
    """Say that it is done."""
    click.echo("done")
