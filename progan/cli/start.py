"""The command `progan`, where it is installed."""

from progan.runtime.entry import heed_signals


def main() -> None:
    """Import all commands, and run the one that is named."""
    heed_signals()  # before the imports that take long

    from progan.cli.main import main as command

    command()
