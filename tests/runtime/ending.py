"""A command that has nothing to do: see test_entry.py."""

import click

from progan.door import Door


@click.command(cls=Door)
def main() -> None:
    """Say that it is done."""
    click.echo("done")
