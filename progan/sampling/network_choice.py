"""Which network file a path names: a file itself, or the newest of a run or of a directory of runs.

Where another file is taken than a reader of the path would expect, a note says so.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from progan import run_directory
from progan.data.format import INFO_FILE
from progan.errors import UserError
from progan.runtime.text import sanitize_line
from progan.sampling.network_file import PREFIX, SUFFIX, is_interim

PATTERN = f"{PREFIX}*{SUFFIX}"
OTHER_NETWORKS = (".safetensors", ".pkl", ".pth", ".pt", ".ckpt", ".npz", ".onnx")
# Files by which directories of other programs are known.
OTHER_DIRECTORIES = {
    "model_index.json": "a pipeline of diffusers",
    "saved_model.pb": "a SavedModel of TensorFlow",
}

Note = Callable[[str], None]


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def find_network(path: Path, note: Note = to_stderr) -> Path:
    """Return the file that `path` names: of several, the newest."""
    return _network_files(path, note)[-1]


def find_networks(path: Path, note: Note = to_stderr) -> list[Path]:
    """Return the network files that `path` names, oldest first; raises UserError if none.

    A file names itself, the directory of a run all its snapshots, or its newest training state if
    it has none yet, and a directory of runs those of its newest run that has any.

    Of the interim networks, which are saved between two snapshots, only the newest file counts: it
    is where the run is. Older ones are what a killed process has left.

    Args:
        note: Called with a sentence where a state or an older run is taken, and where an interim
            network counts or is left out.
    """
    files = _network_files(path, note)
    interim = {file for file in files[:-1] if is_interim(file)}
    for file in sorted(interim):
        note(
            f"{file.name} was saved between two snapshots and is older than {files[-1].name}: "
            "it is left out."
        )
    found = [file for file in files if file not in interim]
    if len(found) > 1 and is_interim(found[-1]):
        note(
            f"{found[-1].name} is no snapshot but the newest network, saved since the last one: "
            "it is taken, too."
        )
    return found


def _network_files(path: Path, note: Note) -> list[Path]:
    """The network files that `path` names, oldest first, with all interim ones."""
    if path.is_file():
        return [path]
    run = find_run(path, note)
    if snapshots := _snapshots(run):
        return snapshots
    state = run_directory.list_states(run)[-1]
    note(f"{run} has no {PATTERN} yet: its newest training state, {state.name}, is used.")
    return [state]


def find_run(path: Path, note: Note = to_stderr) -> Path:
    """Return the directory of the run that `path` names: itself, or its newest that has a network.

    A training state counts as a network. Raises UserError if there is none.
    """
    if not path.is_dir():
        raise UserError(
            f"{path} is not a regular file. Name a network file or the directory of a run."
            if path.exists()
            else f"There is no {path}. Name a {PATTERN} file or the directory of a run."
        )
    if _has_network(path):
        return path
    runs = run_directory.list_runs(path)[::-1]  # newest first
    found = next(filter(_has_network, runs), None)
    if found is None:
        raise UserError(f"{path} {_what_is(path, runs)}")
    if found != runs[0]:
        note(
            f"{runs[0].name} is the newest run in {path} and has no network or training state "
            f"yet: {found.name} is used."
        )
    return found


def _snapshots(run: Path) -> list[Path]:
    return sorted(run.glob(PATTERN))


def _has_network(run: Path) -> bool:
    return bool(_snapshots(run) or run_directory.list_states(run))


def _what_is(path: Path, runs: list[Path]) -> str:
    """What a directory without a network is, and how to go on."""
    if (path / INFO_FILE).is_file():
        return (
            "is a dataset, not a network. Train on it with train.py --data, and name the "
            "directory of that run."
        )
    if (path / run_directory.CONFIG_FILE).is_file() or runs:
        return (
            f"holds no {PATTERN} and no training state yet. Wait for the first ones of the "
            "run, or name another run."
        )
    for name, what in OTHER_DIRECTORIES.items():
        if (path / name).is_file():
            return f"is {what}, not a network of progan."
    if others := sorted(file.name for file in path.iterdir() if file.suffix in OTHER_NETWORKS):
        return f"holds no {PATTERN}, but {sanitize_line(others[0])}. Name that file itself."
    return f"holds no {PATTERN}. Name the directory of a run that has written a snapshot already."
