"""Checks of inputs and outputs before any work is done: nothing here imports torch."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from progan.errors import UserError
from progan.runtime.files import require_folder_or_nothing


def require_paths(paths: Iterable[Path | None], advice: str) -> None:
    """Raise UserError unless all paths exist; None is a path that was not given."""
    for path in paths:
        if path is not None and not os.path.exists(path):
            raise UserError(f"There is no {path}. {advice}")


def require_detector(path: Path | None) -> None:
    """Raise UserError if a file of --detector was named that does not exist."""
    if path is not None and not os.path.exists(path):
        raise UserError(f"There is no file {path}. Name another one with --detector.")


def require_writable_folder(path: Path, option: str) -> None:
    """Raise UserError unless files can be created in a folder, which need not exist yet.

    Args:
        option: What names it, such as '--outdir'.
    """
    if blocking := next((each for each in path.parents if each.is_file()), None):
        raise UserError(f"Cannot create the folder {path}: Not a directory: {blocking} is a file "
                        "in the way. Name another place.")
    require_folder_or_nothing(path)
    nearest = next(each for each in (path, *path.resolve().parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise UserError(f"Cannot write to {path}: {error.strerror}. Name another {option}, or "
                        "make this one writable.") from error


def require_writable_file(path: Path, option: str, *, makes_folder: bool = False) -> None:
    """Raise UserError unless a file can be created or replaced.

    Args:
        option: What names it, such as '--json'.
        makes_folder: Its folder is created if it does not exist.
    """
    if path.is_dir():
        raise UserError(f"Cannot write {path}: it is a folder. Name a file.")
    is_written_in_place = path.exists() and not path.is_file()  # a device or a pipe
    folder = path.resolve().parent
    if not is_written_in_place and not makes_folder and not folder.is_dir():
        raise UserError(f"Cannot write {path}: there is no folder {folder}. Create it, or name "
                        "another place.")
    if not is_written_in_place:
        require_writable_folder(folder, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(f"Cannot write {path}: Permission denied. Name another {option}, or make "
                        "this one writable.")
