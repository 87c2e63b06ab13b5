"""Checkpoints: all of a `TrainState` in a file, tensors and numbers only, with a checksum."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from progan.config import Network as NetworkConfig
from progan.config import Run, to_dict
from progan.errors import UserError
from progan.option_fields import format_changes, list_section_changes, section_from_dict
from progan.run_directory import NETWORK_PREFIX, choose_state_path
from progan.run_directory import list_states as state_files
from progan.runtime.devices import is_out_of_memory
from progan.runtime.files import atomic_path
from progan.sampling.checkpoint_format import (
    FORMAT,
    FORMAT_VERSION,
    NOT_WHOLE,
    Content,
    DamagedCheckpoint,
    read_checkpoint,
    with_checksum,
)
from progan.sampling.snapshot_file import NETWORK_SUFFIX
from progan.training.state import AUGMENT_P, TrainState, create_state

COUNTERS = (
    "images_seen", "round_images_seen", "phase", "tick", "tick_images_seen", "seconds", "rollbacks",
)  # fmt: skip


def save_state_and_delete_oldest(directory: Path, state: TrainState, run: Run) -> Path:
    """Write state-<kimg>.pt atomically, and delete the oldest ones beyond `keep_states`."""
    return write_state_and_delete_oldest(directory, copy_to_cpu(state, run), run.output.keep_states)


def copy_to_cpu(state: TrainState, run: Run) -> Content:
    """Copy a state to main memory, as the content of a checkpoint."""
    content: Content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": json.dumps(to_dict(run)),
    }
    for name, module in (state.networks | state.optimizers).items():
        content[name] = module.state_dict()
    content |= {name: getattr(state, name) for name in COUNTERS}
    content["dials"] = {name: value.item() for name, value in state.controllers.items()}
    content["tally"] = {"sums": dict(state.stat_sums.sums), "counts": dict(state.stat_sums.counts)}
    copy: Content = tree_map_only(
        Tensor, lambda value: value.detach().to("cpu", copy=True), content
    )
    return copy


def write_state_and_delete_oldest(
    directory: Path, content: Content, keep: int, proceed: Callable[[], None] = lambda: None
) -> Path:
    """Write a checkpoint from `copy_to_cpu` atomically, then delete the oldest but `keep`.

    Args:
        proceed: Called before each chunk; an exception from it cancels the write.
    """
    path = choose_state_path(directory, content["images_seen"])
    overwrite_state(path, content, proceed)
    for old in state_files(directory)[:-keep]:
        if old != path:
            old.unlink()
    return path


def overwrite_state(
    path: Path, content: Content, proceed: Callable[[], None] = lambda: None
) -> None:
    """Write a checkpoint from `copy_to_cpu` atomically to a path, which may exist."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _torch_save_raising_oserror(with_checksum(content), _Output(file, proceed))


class LoadedState(NamedTuple):
    """A state, its file, and the newer files that are damaged."""

    state: TrainState
    path: Path
    damaged: dict[Path, DamagedCheckpoint]


def load_newest(files: Sequence[Path], run: Run, device: torch.device) -> LoadedState:
    """Load the newest undamaged checkpoint.

    Args:
        files: Oldest first; at least one.

    Raises:
        UserError: All are damaged, or the newest undamaged one does not fit the run.
    """
    damaged: dict[Path, DamagedCheckpoint] = {}
    for path in reversed(files):
        try:
            return LoadedState(load_state(path, run, device), path, damaged)
        except DamagedCheckpoint as error:
            damaged[path] = error
    directory = files[-1].parent
    has_network = any(directory.glob(f"{NETWORK_PREFIX}*{NETWORK_SUFFIX}"))
    begin = f" with its newest network: --init-from {directory}" if has_network else ""
    raise UserError(
        f"{'; '.join(error.what for error in damaged.values())}. No undamaged state is "
        f"left: start a new run{begin}."
    )


def load_state(path: Path, run: Run, device: torch.device) -> TrainState:
    """Load a checkpoint onto `device`; raises UserError if it does not fit the run."""
    content = read_checkpoint(path)
    try:
        saved = section_from_dict(NetworkConfig, json.loads(content["config"])["network"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedCheckpoint(path, NOT_WHOLE) from error
    if changes := list_section_changes(saved, run.network):
        raise UserError(
            f"{path} cannot be resumed with another architecture: {format_changes(changes)}. Take "
            "that back, in config.json if it was edited, or start a new run."
        )
    # On the device before the content is read, so that its errors are not those of the file.
    state = create_state(run, device)
    try:
        _restore(state, content, run)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise DamagedCheckpoint(path, NOT_WHOLE) from error
    return state


class _Output:
    """A binary file that calls `proceed` before each write."""

    def __init__(self, file: BinaryIO, proceed: Callable[[], None]) -> None:
        self._file, self._proceed = file, proceed

    def write(self, data: bytes) -> int:
        self._proceed()
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _torch_save_raising_oserror(content: Content, output: _Output) -> None:
    """Call torch.save; errors of the disk are raised as OSError, not as RuntimeError."""
    try:
        torch.save(content, output)  # type: ignore[arg-type]
    except RuntimeError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None  # the cause of torch's RuntimeError


def _restore(state: TrainState, content: Content, run: Run) -> None:
    """Load the content into a new state; raises ValueError, KeyError etc. if it is damaged."""
    device = next(state.generator.parameters()).device
    for name, network in state.networks.items():
        network.load_state_dict(content[name])
    same = _read_optimizer_name(content) == run.optim.optimizer
    for name, optimizer in state.optimizers.items():
        _load_moments(optimizer, content[name], same=same)
    for name in COUNTERS:
        value = content[name]
        if type(value) is not type(getattr(state, name)) or value < 0:
            raise ValueError(f"{name} is {value!r}")
        setattr(state, name, value)
    changed = _read_augment_p(content) not in (None, run.augment.augment_p)
    given = {AUGMENT_P} if run.augment.augment == "fixed" or changed else set()
    for name in (state.controllers.keys() & content["dials"].keys()) - given:
        state.controllers[name].fill_(float(content["dials"][name]))
    for name, total in content["tally"]["sums"].items():
        state.stat_sums.sums[name] = total.to(device)
        state.stat_sums.counts[name] = int(content["tally"]["counts"][name])


def _read_augment_p(content: Content) -> float | None:
    """Return the --augment-p of the run that was saved; None if it had no such setting."""
    value: float | None = json.loads(content["config"]).get("augment", {}).get("augment_p")
    return value


def _read_optimizer_name(content: Content) -> str:
    """Return the --optimizer of the run that was saved; files without the setting are of Adam."""
    name: str = json.loads(content["config"]).get("optim", {}).get("optimizer", "adam")
    return name


def _load_moments(optimizer: Optimizer, saved: dict[str, Any], *, same: bool) -> None:
    """Load the saved moments, none unless `same` algorithm; keep the settings of the run."""
    own = optimizer.state_dict()
    if len(saved["param_groups"][0]["params"]) != len(own["param_groups"][0]["params"]):
        raise ValueError("another number of weights")
    optimizer.load_state_dict(own | {"state": saved["state"] if same else {}})
