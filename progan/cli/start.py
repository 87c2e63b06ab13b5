"""The command `progan`, where it is installed, and `python -m progan`."""

import sys

from progan.runtime.early_signals import install_early_handlers


def main(prog_name: str | None = None) -> None:
    """Import all commands, and run the one that is named."""
    install_early_handlers(
        is_training=sys.argv[1:2] == ["train"]
    )  # before the imports that take long

    from progan.cli.main import main as command

    command(prog_name=prog_name)
