"""How a run goes on: its settings, its newest whole state, and what its user should know."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from progan import run_directory, schedule
from progan.config import Run, config_changes, override
from progan.data.reader import Dataset
from progan.data.splits import open_dataset, open_dataset_of_run
from progan.errors import UserError
from progan.interop.describe_file import refusal
from progan.interop.load import read_foreign
from progan.option_fields import section_changes
from progan.run_directory import CONFIG_FILE, quarantine
from progan.run_directory import list_states as state_files
from progan.runtime.files import remove_partials
from progan.runtime.weights_file import is_weights_file
from progan.sampling.network_file import images_seen_of
from progan.sampling.state_file import is_state, peek
from progan.training import state as states
from progan.training.checkpoint import load_newest, load_state
from progan.training.missing_states import require_untrained
from progan.training.snapshot_metrics import unmeasured
from progan.training.start import fit_to_dataset, require_images_of
from progan.training.state import TrainState


def resume_settings(
    saved: Run, directory: Path, data: Path | None, options: dict[str, Any]
) -> tuple[Run, Dataset]:
    """The settings that a run goes on with, and its images.

    Args:
        saved: What it was trained with.
        data: Another place of its dataset; None: where it was.
        options: Fields of the config that change, by name.

    Raises:
        UserError: The dataset is not there or no longer fits, or the architecture changes.
    """
    if not (data or saved.data.data):
        raise UserError(f"{directory / CONFIG_FILE} names no dataset. Name it with --data.")
    run = override(saved, options)
    subset = run.data.subset
    dataset = (
        open_dataset(data, subset)
        if data
        else open_dataset_of_run(directory, saved.data.data, subset)
    )
    run = fit_to_dataset(run, dataset, ("resolution", "initial_resolution"))
    require_images_of(saved, run, dataset)
    if different := section_changes(saved.network, run.network):
        raise UserError(
            f"A run cannot be resumed with another architecture: "
            f"{'; '.join(different)}. Leave these options away, or start a new run."
        )
    return run, dataset


def load_resumed_state(
    path: Path, saved: Run, run: Run, device: torch.device
) -> tuple[TrainState, list[str]]:
    """Return the state that a run goes on from, and lines for its log.

    States that are damaged, or newer than the one that was named, are renamed: they are no part
    of the run that goes on. So is what a killed process has left half-written removed.

    Args:
        path: The directory of the run, or the state file to take.
        saved: What config.json says; it is compared with what the state was trained with.
        run: The settings to go on with.

    Raises:
        UserError: The file, or every state of the directory, is damaged or does not fit, or the
            directory has none although the run was trained.
    """
    if path.is_dir() and not state_files(path):
        require_untrained(path, saved)
    remove_partials(path if path.is_dir() else path.parent)
    if path.is_file():
        state, file, notes = load_state(path, run, device), path, []
    elif files := state_files(path):
        state, file, damaged = load_newest(files, run, device)
        notes = [
            _set_aside(each, "damaged", f"{error.what}. Going on from {file.name} instead.")
            for each, error in damaged.items()
        ]
    else:
        return states.create(run, device), ["There is no training state yet: from the beginning."]
    notes += [
        _set_aside(each, "superseded", f"{each} is newer than {file.name}.")
        for each in state_files(file.parent)
        if each != file and _images_seen(each) > state.images_seen
    ]
    trained = peek(file)
    if trained and (edited := config_changes(trained[1], saved)):
        notes.append(
            f"{CONFIG_FILE} is not what {file.name} was trained with: "
            f"{'; '.join(edited)}. It holds from here on."
        )
    return state, notes


def require_unfinished(
    directory: Path, state: TrainState, run: Run, metrics: Iterable[str]
) -> None:
    """Raise UserError unless there is something to train, or to measure."""
    ahead = schedule.rounds(run.growth, run.network, state.images_seen, state.round_images_seen)
    if next(ahead, None) is None and not unmeasured(directory, metrics, state.images_seen):
        raise UserError(
            f"{directory} is finished, at kimg {state.kimg:g}. To go on, name a larger "
            "--total-kimg."
        )


def _set_aside(path: Path, why: str, reason: str) -> str:
    return f"{reason} It is called {quarantine(path, why).name} now."


def _images_seen(path: Path) -> float:
    """Of a state; one that does not tell counts as new."""
    told = peek(path)
    return told[0] if told else float("inf")


def require_resumable(path: Path) -> None:
    """Raise UserError unless a file can be a state of a run in whose directory it lies."""
    directory = path.parent
    at_home = (directory / run_directory.CONFIG_FILE).is_file()
    if is_weights_file(path) and images_seen_of(path) is None:
        raise refusal(path)
    if is_weights_file(path):
        what = f"{path} holds weights of a network, and not all that a training goes on with. "
        home = f"To continue its run: --resume {directory}. " if at_home else ""
        raise UserError(f"{what}{home}To begin a new run with these weights: --init-from {path}")
    is_own = is_state(path) or path.name.startswith(run_directory.STATE_PREFIX)
    if not is_own and read_foreign(path):
        raise UserError(
            f"{path} holds networks of another program, and not all that a training "
            f"goes on with. To begin a new run with them: --init-from {path}"
        )
    if not at_home:
        raise UserError(
            f"{directory} is not the directory of a run, where --resume would continue "
            f"{path}. To begin a new run with the networks of a training state or of a "
            "network file, name it with --init-from."
        )
