"""The file of a classifier of digits, looked for without importing torch."""

from pathlib import Path

from progan.errors import UserError
from progan.invocation import command


def require_file(path: Path) -> None:
    """Raise UserError unless there is a file of a classifier."""
    if not path.is_file():
        raise UserError(f"There is no classifier {path}. {advice()}")


def advice() -> str:
    """How to get a classifier."""
    training = command("metrics", "discrete-modes", "--train-classifier")
    return (f"Train a classifier with {training} and name it with --classifier FILE "
            f"({command('train')}: --detector FILE).")
