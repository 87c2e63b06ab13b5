"""Find the network file that a path stands for: itself, or the newest of a run or of several runs.

A note is printed where the choice may surprise.
"""

import sys
from pathlib import Path

from progan import run_directory
from progan.data.format import INFO_FILE
from progan.errors import UserError
from progan.pretrained import list_pretrained
from progan.runtime.text import PrintLine, escape_controls, sanitize_and_truncate_line
from progan.sampling.snapshot_file import (
    NETWORK_SUFFIX,
    SNAPSHOT_PREFIX,
    is_interim,
    list_snapshots,
)

PATTERN = f"{SNAPSHOT_PREFIX}*{NETWORK_SUFFIX}"
OTHER_NETWORKS = (".safetensors", ".pkl", ".pth", ".pt", ".ckpt", ".npz", ".onnx")
# Files that identify directories of other programs.
OTHER_DIRECTORIES = {
    "model_index.json": "a pipeline of diffusers",
    "saved_model.pb": "a SavedModel of TensorFlow",
}


def print_to_stderr(text: str) -> None:
    print(escape_controls(text, keep="\n"), file=sys.stderr)


def find_network(path: Path, print_line: PrintLine = print_to_stderr) -> Path:
    """Return the newest network file that `path` stands for; raises UserError without one."""
    return _list_network_files(path, print_line)[-1]


def find_networks(path: Path, print_line: PrintLine = print_to_stderr) -> list[Path]:
    """Return the network files that `path` stands for, oldest first; raises UserError if none.

    A file stands for itself, the directory of a run for all its snapshots, or its newest training
    state if it has none yet, and a directory of runs for those of its newest run that has any.

    Of the interim networks, saved between two snapshots, only the newest file counts. Older ones
    were left by killed processes.

    Args:
        print_line: Receives a sentence if a state, an older run or an interim network is used,
            or an interim network is left out.
    """
    files = _list_network_files(path, print_line)
    interim = {file for file in files[:-1] if is_interim(file)}
    for file in sorted(interim):
        print_line(
            f"{file.name} was saved between two snapshots and is older than {files[-1].name}: "
            "it is left out."
        )
    found = [file for file in files if file not in interim]
    if len(found) > 1 and is_interim(found[-1]):
        print_line(
            f"{found[-1].name} is not a snapshot but the newest network, saved since the last one: "
            "it is taken, too."
        )
    return found


def _list_network_files(path: Path, print_line: PrintLine) -> list[Path]:
    """Return the network files of `path`, oldest first, with all interim ones."""
    if path.is_file():
        return [path]
    run = find_run(path, print_line)
    if snapshots := list_snapshots(run):
        return snapshots
    state = run_directory.list_states(run)[-1]
    print_line(f"{run} has no {PATTERN} yet: its newest training state, {state.name}, is used.")
    return [state]


def find_run(path: Path, print_line: PrintLine = print_to_stderr) -> Path:
    """Return `path` if it is a run, or its newest run that has a network or training state.

    Raises UserError without one.
    """
    if not path.is_dir():
        raise UserError(
            f"{path} is not a regular file. Name a network file or the directory of a run."
            if path.exists()
            else f"No such file or directory: {path}. Name a {PATTERN} file or a run's directory."
        )
    if _has_network_or_state(path):
        return path
    runs = run_directory.list_runs(path)[::-1]  # newest first
    found = next(filter(_has_network_or_state, runs), None)
    if found is None:
        hidden = str(path) in list_pretrained()
        raise UserError(
            f"{path} {_explain_no_network(path, runs)}"
            + " It hides the network of that name in the package." * hidden
        )
    if found != runs[0]:
        print_line(
            f"{runs[0].name} is the newest run in {path} and has no network or training state "
            f"yet: {found.name} is used."
        )
    return found


def _has_network_or_state(run: Path) -> bool:
    return bool(list_snapshots(run) or run_directory.list_states(run))


def _explain_no_network(path: Path, runs: list[Path]) -> str:
    """Say what a directory without a network is, and what to do."""
    if (path / INFO_FILE).is_file():
        return (
            "is a dataset, not a network. Train on it with train.py --data, and name the "
            "directory of that run."
        )
    for name, what in OTHER_DIRECTORIES.items():
        if (path / name).is_file():
            return f"is {what}, not a network of progan."
    if others := sorted(file.name for file in path.iterdir() if file.suffix in OTHER_NETWORKS):
        other = sanitize_and_truncate_line(others[0])
        return f"holds no {PATTERN}, but {other}. Name that file itself."
    if (path / run_directory.CONFIG_FILE).is_file() or runs:
        return (
            f"holds no {PATTERN} and no training state yet. Wait for the first ones of the "
            "run, or name another run."
        )
    return f"holds no {PATTERN}. Name the directory of a run that has written a snapshot already."
