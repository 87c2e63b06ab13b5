"""What a new run may begin with: the networks of another one, as they lie in its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from progan import run_directory, schedule
from progan.config import Network, Run
from progan.errors import UserError
from progan.interop.describe_file import refusal
from progan.interop.imported_model import ImportedModel
from progan.interop.load import load_own, read_foreign
from progan.networks.shells import shells
from progan.runtime.weights_file import is_weights_file
from progan.sampling.network_choice import find_network, find_run
from progan.sampling.network_file import images_seen_of
from progan.sampling.state_file import is_state, is_whole, load_networks
from progan.sizes import MIN_LEVEL


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Networks that were trained before, and how far."""

    path: Path
    network: Network
    weights: Mapping[str, Mapping[str, Tensor]]  # "generator", "discriminator", "average"
    level: int  # log2 of the resolution that was trained last
    alpha: float  # weight of that level; below 1 if it was being faded in
    images_seen: int
    run: Run | None = None  # its other settings, if they are known

    @property
    def settled_level(self) -> int:
        """The highest level that was wholly faded in."""
        return self.level if self.alpha == 1 else max(self.level - 1, MIN_LEVEL)


def find_origin(path: Path) -> Path:
    """The file that `path` names: of a run its newest whole state, or else its newest network.

    A directory of runs stands for its newest run that has either. Raises UserError if there is
    none.
    """
    if path.is_dir():
        directory = find_run(path)
        states = reversed(run_directory.states(directory))
        return next(filter(is_whole, states), None) or find_network(directory)
    if not path.exists():
        raise UserError(f"There is no {path}. Name a network file or a training state, or the "
                        "directory of a run, with --init-from.")
    return path


def load_origin(path: Path) -> Origin:
    """Read networks of ours or of another program, on the CPU; raises UserError for other files."""
    if is_state(path):
        return _of_state(path)
    trained = read_foreign(path)
    return _of_network_file(path) if trained is None else _of_another_program(path, trained)


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
        raise UserError(f"{path} holds networks of another program, and not all that a training "
                        f"goes on with. To begin a new run with them: --init-from {path}")
    if not at_home:
        raise UserError(f"{directory} is not the directory of a run, where --resume would continue "
                        f"{path}. To begin a new run with the networks of a training state or of a "
                        "network file, name it with --init-from.")


def _of_network_file(path: Path) -> Origin:
    snapshot = load_own(path, torch.device("cpu"))
    network = snapshot.generator.config
    home = path.parent / run_directory.CONFIG_FILE
    return Origin(
        path=path, network=network, weights={"average": snapshot.generator.state_dict()},
        level=snapshot.level, alpha=snapshot.alpha, images_seen=snapshot.images_seen,
        run=run_directory.load_config(path.parent) if home.is_file() else None)


def _of_another_program(path: Path, trained: ImportedModel) -> Origin:
    return Origin(path=path, network=trained.network, weights=trained.weights, level=trained.level,
                  alpha=trained.alpha, images_seen=trained.images_seen)


def _of_state(path: Path) -> Origin:
    run, images_seen, weights = load_networks(path)
    for role, network in shells(run.network).items():
        try:
            network.load_state_dict(weights[role], assign=True)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise UserError(f"{path} is damaged: its {role} is not the one that its settings "
                            "describe. Name another state of the run.") from error
    stage = schedule.at(run.growth, run.network, images_seen)
    return Origin(path=path, network=run.network, weights=weights, level=stage.level,
                  alpha=stage.alpha, images_seen=images_seen, run=run)
