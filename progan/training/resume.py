"""Resuming a run: its settings, its newest undamaged state, and notes for its log."""

import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from progan import run_directory, schedule
from progan.config import Run, list_config_changes, override
from progan.data.reader import Dataset, open_dataset, open_dataset_of_run
from progan.diagnosis.history import Row, parse_row
from progan.errors import UserError
from progan.interop.describe_file import unreadable_error
from progan.interop.load import import_foreign
from progan.invocation import command_line
from progan.option_fields import format_changes, list_section_changes
from progan.run_directory import (
    BEST_PREFIX,
    BEST_STATE_PREFIX,
    CONFIG_FILE,
    FAKES_PREFIX,
    FIRST_STATE_MARKER,
    STATE_PREFIX,
    STATE_SUFFIX,
    STATISTICS_FILE,
    rename_to_exclude,
)
from progan.run_directory import list_states as state_files
from progan.runtime.files import PARTIAL, remove_partials
from progan.runtime.weights_file import is_weights_file
from progan.sampling.checkpoint_format import is_checkpoint, read_metadata
from progan.sampling.model_card import card_path
from progan.sampling.snapshot_file import (
    NETWORK_SUFFIX,
    SNAPSHOT_PREFIX,
    read_classes,
    read_images_seen,
)
from progan.training import sample_grids
from progan.training import state as states
from progan.training.checkpoint import LoadedState, load_newest, load_state
from progan.training.snapshot_metrics import list_unmeasured_metrics
from progan.training.start import fit_to_dataset, require_same_image_shape
from progan.training.state import TrainState


def resume_settings(
    saved: Run, directory: Path, data: Path | None, options: dict[str, Any]
) -> tuple[Run, Dataset]:
    """Return the settings of a resumed run, and its dataset.

    Args:
        saved: The settings that it was trained with.
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
    run = fit_to_dataset(run, dataset)
    require_same_image_shape(saved, run, dataset)
    if run.data.conditional:
        _require_same_classes(directory, dataset)
    if different := list_section_changes(saved.network, run.network):
        raise UserError(
            f"A run cannot be resumed with another architecture: "
            f"{format_changes(different)}. Omit these options, or start a new run."
        )
    return run, dataset


def _require_same_classes(directory: Path, dataset: Dataset) -> None:
    """Raise UserError if classes have other names than in the newest network of a run.

    Of a dataset that was made again from renamed folders, the classes have another order.
    """
    newest_first = map(read_classes, reversed(_list_networks(directory)))
    names, _ = next(filter(None, newest_first), ((), ()))
    changes = [
        f"class {index} was {was!r} and is {now!r}"
        for index, (was, now) in enumerate(zip(names, dataset.label_names, strict=False))
        if was != now
    ]
    if changes:
        raise UserError(
            f"The classes of {dataset.path} are not those that the run was trained with: "
            f"{'; '.join(changes[:5])}{'; …' * (len(changes) > 5)}. Make the dataset again "
            "with the names that they had, or start a new run."
        )


def load_resumed_state(
    path: Path, saved: Run, run: Run, device: torch.device, metrics: Iterable[str] = ()
) -> tuple[TrainState, list[str]]:
    """Load the state to resume from; return it with lines for the log.

    Damaged states, and states, networks with their cards, and sample grids newer than the state
    that was named are renamed, since they do not belong to the resumed run. Partial files of killed
    processes are removed.

    Args:
        path: The directory of the run, or a state file.
        saved: The settings in config.json, to be compared with those in the state file.
        run: The settings of the resumed run.
        metrics: Names of the metrics to be measured.

    Raises:
        UserError: The file, or every state of the directory, is damaged or does not fit, the
            directory has none although the run was trained, or there is nothing left to train or
            to measure. No state was renamed then.
    """
    if path.is_dir() and not state_files(path):
        require_untrained(path, saved)
        # Until its first state is written, it may be killed again.
        if _list_networks(path):
            (path / FIRST_STATE_MARKER).touch()
    remove_partials(path if path.is_dir() else path.parent)
    if path.is_file():
        state, file, damaged = LoadedState(load_state(path, run, device), path, {})
    elif files := state_files(path):
        state, file, damaged = load_newest(files, run, device)
    else:
        return states.create_state(run, device), [
            "No training state was saved yet: starting from the beginning."
        ]
    require_unfinished(file.parent, state, run, metrics)
    trained = read_metadata(file)
    require_no_earlier_phase(trained[1] if trained else saved, run, state.images_seen)
    notes = [
        f"{error.what}. Resuming from {file.name} instead. It was renamed to "
        f"{rename_to_exclude(each, 'damaged').name}."
        for each, error in damaged.items()
    ]
    if path.is_file():
        notes += _exclude_later_files(file, state.images_seen)
    if trained and (edited := list_config_changes(trained[1], saved)):
        notes.append(
            f"{CONFIG_FILE} differs from the settings of {file.name}: "
            f"{format_changes(edited)}. It applies from here on."
        )
    return state, notes


def require_planned_phase(path: Path, run: Run) -> None:
    """Raise UserError if a run, or the state file that was named, would go back to a phase."""
    files = [path] if path.is_file() else state_files(path)
    if files and (trained := read_metadata(files[-1])):
        images_seen, saved = trained
        require_no_earlier_phase(saved, run, images_seen)


def require_no_earlier_phase(saved: Run, run: Run, images_seen: int) -> None:
    """Raise UserError if other lengths of phases put a run back into one that it has behind it.

    Networks that have grown would be trained at a lower resolution, or be faded in again.
    """
    before, after = (
        schedule.stage_at(each.growth, each.network, images_seen) for each in (saved, run)
    )
    if after.phase >= before.phase:
        return
    size = run.network.size
    fading = "fade in " if after.fading else "train "
    changes = list_config_changes(saved, run, without=("fingerprint", "total_kimg"))
    raise UserError(
        f"At kimg {images_seen / 1000:g} the run trains {size(before.level)}, and would go back to "
        f"{fading}{size(after.level)}: {format_changes(changes)}. Name lengths of phases that end "
        "where it is, or start a new run."
    )


def require_unfinished(
    directory: Path, state: TrainState, run: Run, metrics: Iterable[str]
) -> None:
    """Raise UserError if there is nothing left to train or to measure."""
    ahead = schedule.iterate_rounds(
        run.growth, run.network, state.images_seen, state.round_images_seen
    )
    if next(ahead, None) is None and not list_unmeasured_metrics(
        directory, metrics, state.images_seen
    ):
        raise UserError(
            f"{directory} is finished, at kimg {state.kimg:g}. To continue, pass a larger "
            "--total-kimg."
        )


def _exclude_later_files(state: Path, images_seen: int) -> list[str]:
    """Rename files of the run that are newer than the state; return lines for the log.

    They belong to the training that is given up by resuming an earlier state. Kept, the newest
    and the best network would be theirs.
    """
    directory = state.parent
    later = [
        each for each in state_files(directory) if each != state and _is_newer(each, images_seen)
    ]
    best_states = directory.glob(f"{BEST_STATE_PREFIX}*{STATE_SUFFIX}")
    later += [
        each
        for each in sorted(best_states)
        if each != state and (found := read_metadata(each)) and found[0] > images_seen
    ]
    for network in _list_networks(directory):
        if (read_images_seen(network) or 0) > images_seen:
            later += [network, *filter(Path.is_file, [card_path(network)])]
    later += [
        grid
        for grid in sorted(directory.glob(f"{FAKES_PREFIX}*.png"))
        if (sample_grids.read_grid_images_seen(grid) or 0) > images_seen
    ]
    if not later:
        return []
    names = ", ".join(each.name for each in later)
    for each in later:
        rename_to_exclude(each, "superseded")
    return [f"Renamed to ….superseded, as newer than {state.name}: {names}."]


def _is_newer(path: Path, images_seen: int) -> bool:
    """True for a state of more images; of an unreadable one the name says how many."""
    found = read_metadata(path)
    if found:
        return found[0] > images_seen
    digits = re.match(r"\d+", path.name.removeprefix(STATE_PREFIX))
    return digits is None or int(digits[0]) > images_seen // 1000


def require_resumable(path: Path) -> None:
    """Raise UserError unless a file can be a state of the run in whose directory it is."""
    directory = path.parent
    at_home = (directory / run_directory.CONFIG_FILE).is_file()
    if is_weights_file(path) and read_images_seen(path) is None:
        raise unreadable_error(path)
    if is_weights_file(path):
        what = f"{path} holds weights of a network, which is not enough to resume. "
        home = f"To continue its run: --resume {directory}. " if at_home else ""
        raise UserError(f"{what}{home}To start a new run with these weights: --init-from {path}")
    is_own = is_checkpoint(path) or path.name.startswith(run_directory.STATE_PREFIX)
    if not is_own and import_foreign(path):
        raise UserError(
            f"{path} holds networks of another program, which is not enough to resume. "
            f"To start a new run with them: --init-from {path}"
        )
    if not at_home:
        raise UserError(
            f"{directory} is not the directory of a run, which --resume needs for {path}. "
            "To start a new run with the networks of a training state or of a network file, pass "
            "it to --init-from."
        )


def require_untrained(directory: Path, run: Run) -> None:
    """Raise UserError if a run without a training state was trained and saved before.

    Must be called before the temporary files of killed processes are removed.
    """
    networks = _list_networks(directory)
    rows = _read_rows_after_start(directory / STATISTICS_FILE)
    if not _must_have_saved_state(directory, networks, rows, run):
        return
    kimg = max(
        [(read_images_seen(path) or 0) / 1000 for path in networks]
        + [row["images_seen"] / 1000 for row in rows]
    )
    found = [*(path.name for path in networks[-1:]), *([STATISTICS_FILE] if rows else [])]
    raise UserError(
        f"{directory} has no training state (state-<kimg>{STATE_SUFFIX}), but was trained to kimg "
        f"{kimg:g} ({', '.join(found)}). Nothing was changed. "
        f"{_suggest_remedies(directory, networks)}"
    )


def _list_networks(directory: Path) -> list[Path]:
    return [
        path
        for prefix in (BEST_PREFIX, SNAPSHOT_PREFIX)
        for path in run_directory.sort_by_kimg(directory.glob(f"{prefix}*{NETWORK_SUFFIX}"))
    ]


def _read_rows_after_start(path: Path) -> list[Row]:
    lines = path.read_text("utf-8", "replace").split("\n") if path.is_file() else []
    return [row for line in lines if (row := parse_row(line)) and row["images_seen"] > 0]


def _must_have_saved_state(
    directory: Path, networks: list[Path], rows: list[Row], run: Run
) -> bool:
    """True if there must have been a state; a process may have been killed before its first one.

    The network of a snapshot is written just before its state, and ticks go on meanwhile. The
    second snapshot waits for the first one.
    """
    if (directory / FIRST_STATE_MARKER).exists():
        return False
    was_cut = any(directory.glob(f".*{PARTIAL}"))
    return len(networks) > was_cut or len(rows) > 2 * run.output.snapshot_ticks


def _suggest_remedies(directory: Path, networks: list[Path]) -> str:
    best = sorted(directory.glob(f"{BEST_STATE_PREFIX}*{STATE_SUFFIX}"))
    begin = command_line("train", "--init-from", networks[-1], "--data", "DIR") if networks else ""
    return "Restore a state from a backup, " + ", ".join(
        [
            *([f"resume from {shlex.quote(str(best[0]))}"] if best else []),
            *([f"start a new run with its network ({begin})"] if begin else []),
            "or delete the directory to start again.",
        ]
    )
