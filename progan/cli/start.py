"""The command `progan`, where it is installed, and `python -m progan`."""

import sys

from progan.runtime.signals import install_early_handlers


def main(prog_name: str | None = None) -> None:
    """Import all commands, and run the one that is named."""
    # Before the imports, which take long.
    install_early_handlers(is_training=sys.argv[1:2] == ["train"])

    from progan.cli.main import main as command

    command(prog_name=prog_name)
