"""Training states on disk: all of `TrainState`, tensors and numbers only, under a checksum."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from progan.config import Network as NetworkConfig
from progan.config import Run, to_dict
from progan.errors import UserError
from progan.option_fields import section_changes, section_from_dict
from progan.run_directory import list_states as state_files
from progan.run_directory import state_path
from progan.runtime.files import atomic_path
from progan.sampling.state_file import (
    FORMAT,
    FORMAT_VERSION,
    NETWORKS,
    NOT_WHOLE,
    Content,
    DamagedState,
    read_state,
    sealed,
)
from progan.training import state as states
from progan.training.state import TrainState

OPTIMIZERS = ("g_optimizer", "d_optimizer")
MODULES = (*NETWORKS, *OPTIMIZERS)
COUNTERS = (
    "images_seen",
    "round_images_seen",
    "phase",
    "tick",
    "tick_images_seen",
    "seconds",
    "rollbacks",
)


def save_state(directory: Path, state: TrainState, run: Run) -> Path:
    """Write state-<kimg>.pt, whole or not at all, and drop the oldest ones beyond `keep_states`."""
    return write_state(directory, copy_to_cpu(state, run), run.output.keep_states)


def copy_to_cpu(state: TrainState, run: Run) -> Content:
    """Copy all of a state to the memory of the host, where training does not change it."""
    content: Content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "config": json.dumps(to_dict(run)),
    }
    content |= {name: getattr(state, name).state_dict() for name in MODULES}
    content |= {name: getattr(state, name) for name in COUNTERS}
    content["dials"] = {name: value.item() for name, value in state.controllers.items()}
    content["tally"] = {"sums": dict(state.tally.sums), "counts": dict(state.tally.counts)}
    copy: Content = tree_map_only(
        Tensor, lambda value: value.detach().to("cpu", copy=True), content
    )
    return copy


def write_state(
    directory: Path, content: Content, keep: int, proceed: Callable[[], None] = lambda: None
) -> Path:
    """Write what `copied` made, then drop the oldest states but `keep`.

    Only states older than this one, which is whole, are dropped.

    Args:
        proceed: Called now and then; what it raises ends the writing, and nothing has changed.
    """
    path = state_path(directory, content["images_seen"])
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        _save(sealed(content), _Output(file, proceed))
    for old in state_files(directory)[:-keep]:
        if old != path:
            old.unlink()
    return path


def load_newest(
    files: Sequence[Path], run: Run, device: torch.device
) -> tuple[TrainState, Path, dict[Path, DamagedState]]:
    """Return the newest state that is whole, its file, and those after it that are damaged.

    Args:
        files: Oldest first; at least one.

    Raises:
        UserError: All of them are damaged, or the newest whole one does not fit the run.
    """
    damaged: dict[Path, DamagedState] = {}
    for path in reversed(files):
        try:
            return load_state(path, run, device), path, damaged
        except DamagedState as error:
            damaged[path] = error
    raise UserError(
        f"{'; '.join(error.what for error in damaged.values())}. There is no other "
        "state to go on from: start a new run."
    )


def load_state(path: Path, run: Run, device: torch.device) -> TrainState:
    """Return the state in a file, on `device`; raises UserError if it does not fit the run."""
    content = read_state(path)
    try:
        saved = section_from_dict(NetworkConfig, json.loads(content["config"])["network"])
        if not section_changes(saved, run.network):
            return _restored(content, run, device)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedState(path, NOT_WHOLE) from error
    raise UserError(
        f"{path} cannot be resumed with another architecture: "
        f"{'; '.join(section_changes(saved, run.network))}. Take that back, in config.json if "
        "it was edited, or start a new run."
    )


class _Output:
    """A file to write to that can be told to stop."""

    def __init__(self, file: BinaryIO, proceed: Callable[[], None]) -> None:
        self._file, self._proceed = file, proceed

    def write(self, data: bytes) -> int:
        self._proceed()
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _save(content: Content, output: _Output) -> None:
    """torch.save, whose errors of the disk are those of the disk."""
    try:
        torch.save(content, output)  # type: ignore[arg-type]
    except RuntimeError as error:
        if error.__context__ is None:
            raise
        raise error.__context__ from None  # torch's own complaint comes on top of it


def _restored(content: Content, run: Run, device: torch.device) -> TrainState:
    """Build the state; raises whatever a damaged file makes it raise."""
    state = states.create(run, device)
    for name in NETWORKS:
        getattr(state, name).load_state_dict(content[name])
    for name in OPTIMIZERS:
        _restore_moments(
            getattr(state, name), content[name], same=_algorithm(content) == run.optim.optimizer
        )
    for name in COUNTERS:
        value = content[name]
        if type(value) is not type(getattr(state, name)) or value < 0:
            raise ValueError(f"{name} is {value!r}")
        setattr(state, name, value)
    for name in state.controllers.keys() & content["dials"].keys():
        state.controllers[name].fill_(float(content["dials"][name]))
    for name, total in content["tally"]["sums"].items():
        state.tally.sums[name] = total.to(device)
        state.tally.counts[name] = int(content["tally"]["counts"][name])
    return state


def _algorithm(content: Content) -> str:
    """The optimizer of the run that was saved; files older than the choice are of Adam."""
    name: str = json.loads(content["config"]).get("optim", {}).get("optimizer", "adam")
    return name


def _restore_moments(optimizer: Optimizer, saved: dict[str, Any], *, same: bool) -> None:
    """Take over the moments, if they are of the same algorithm; its settings are the run's own."""
    own = optimizer.state_dict()
    if len(saved["param_groups"][0]["params"]) != len(own["param_groups"][0]["params"]):
        raise ValueError("another number of weights")
    optimizer.load_state_dict(own | {"state": saved["state"] if same else {}})
