"""Training states on disk: all of `TrainState`, tensors and numbers only."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from progan.config import Network as NetworkConfig
from progan.config import Run, changes, from_dict, section_from_dict, to_dict
from progan.errors import UserError
from progan.run_directory import STATE_PREFIX, STATE_SUFFIX, kimg_name
from progan.run_directory import states as state_files
from progan.runtime.files import replaced
from progan.training import state as states
from progan.training.state import TrainState

FORMAT = "progan state"
FORMAT_VERSION = 1
NETWORKS = ("generator", "discriminator", "average")
OPTIMIZERS = ("g_optimizer", "d_optimizer")
MODULES = (*NETWORKS, *OPTIMIZERS)
CLOCKS = ("images_seen", "phase", "tick", "tick_images_seen", "seconds")


def save_state(directory: Path, state: TrainState, run: Run) -> Path:
    """Write state-<kimg>.pt, whole or not at all, and drop the oldest ones beyond `keep_states`."""
    content = {"format": FORMAT, "version": FORMAT_VERSION, "config": json.dumps(to_dict(run))}
    content |= {name: getattr(state, name).state_dict() for name in MODULES}
    content |= {name: getattr(state, name) for name in CLOCKS}
    content["dials"] = {name: value.item() for name, value in state.dials.items()}
    path = directory / kimg_name(STATE_PREFIX, state.images_seen, STATE_SUFFIX)
    with replaced(path) as temporary:
        torch.save(content, temporary)
    for old in state_files(directory)[:-run.output.keep_states]:
        old.unlink()
    return path


def load_state(path: Path, run: Run, device: torch.device) -> TrainState:
    """Return the state in a file, on `device`; raises UserError if it does not fit the run."""
    content = _read(path, device)
    try:
        saved = section_from_dict(NetworkConfig, json.loads(content["config"])["network"])
        if not changes(saved, run.network):
            return _restored(content, run, device)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _broken(path) from error
    raise UserError(f"{path} cannot be resumed with another architecture: "
                    f"{'; '.join(changes(saved, run.network))}. Leave these options away, or "
                    "start a new run.")


def load_networks(path: Path) -> tuple[Run, int, dict[str, dict[str, Tensor]]]:
    """Return what a state tells of its networks, for whatever run, on the CPU.

    Returns:
        The run that it is of, its images_seen, and the state dictionary of each network by name.
    """
    content = _read(path, torch.device("cpu"))
    try:
        run = from_dict(json.loads(content["config"]))
        return run, int(content["images_seen"]), {name: dict(content[name]) for name in NETWORKS}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path) from error


def _restored(content: dict[str, Any], run: Run, device: torch.device) -> TrainState:
    """Build the state; raises whatever a damaged file makes it raise."""
    state = states.create(run, device)
    for name in NETWORKS:
        getattr(state, name).load_state_dict(content[name])
    for name in OPTIMIZERS:
        _restore_moments(getattr(state, name), content[name],
                         same=_algorithm(content) == run.optim.optimizer)
    for name in CLOCKS:
        value = content[name]
        if type(value) is not type(getattr(state, name)) or value < 0:
            raise ValueError(f"{name} is {value!r}")
        setattr(state, name, value)
    for name in state.dials.keys() & content.get("dials", {}).keys():
        state.dials[name].fill_(float(content["dials"][name]))
    return state


def _algorithm(content: dict[str, Any]) -> str:
    """The optimizer of the run that was saved; files older than the choice are of Adam."""
    name: str = json.loads(content["config"]).get("optim", {}).get("optimizer", "adam")
    return name


def _restore_moments(optimizer: Optimizer, saved: dict[str, Any], *, same: bool) -> None:
    """Take over the moments, if they are of the same algorithm; its settings are the run's own."""
    own = optimizer.state_dict()
    if len(saved["param_groups"][0]["params"]) != len(own["param_groups"][0]["params"]):
        raise ValueError("another number of weights")
    optimizer.load_state_dict(own | {"state": saved["state"] if same else {}})


def _broken(path: Path) -> UserError:
    return UserError(f"{path} is not a whole training state. Name another {STATE_PREFIX}*"
                     f"{STATE_SUFFIX} of the run, or delete this one.")


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    try:
        content: Any = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}.") from error
    except Exception as error:  # a file of another kind fails in any way it likes
        raise _broken(path) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a training state of progan.")
    if content.get("version") != FORMAT_VERSION:
        raise UserError(f"{path} has state format version {content.get('version')}; this progan "
                        f"reads version {FORMAT_VERSION}. Use the progan that wrote it.")
    return content
