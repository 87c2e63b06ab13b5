"""Networks of another program, as ours take them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.networks import Discriminator, Generator
from progan.networks.shells import shells

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Weights under our names, how far they were trained, and what they are called there."""

    network: Network
    weights: Mapping[str, Mapping[str, Tensor]]  # "generator", "discriminator", "average"
    level: int  # log2 of the resolution that was trained last
    alpha: float  # weight of that level; below 1 if it was being faded in
    images_seen: int  # 0 if the file does not tell
    theirs: Mapping[str, Mapping[str, tuple[str, Shape]]]  # of each tensor: its name, its shape
    known_names: tuple[str, ...] = ()  # of the classes, if the file tells
    untrained_classes: tuple[int, ...] = ()  # that had no training image, if the file tells

    @property
    def label_names(self) -> tuple[str, ...]:
        """Files of others name no classes, so their numbers do."""
        return self.known_names or tuple(map(str, range(self.network.label_size)))


def tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A copy as float32, which owns its memory."""
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def require_whole(trained: Trained, where: str) -> Trained:
    """Raise UserError unless the weights are those of its settings, and finite."""
    for role, shell in _shells(trained.network, where).items():
        if role not in trained.weights:
            continue
        wanted = {name: tuple(blank.shape) for name, blank in shell.state_dict().items()}
        found = {name: tuple(weight.shape) for name, weight in trained.weights[role].items()}
        if wrong := sorted(name for name in wanted.keys() | found.keys()
                           if wanted.get(name) != found.get(name)):
            name = wrong[0]
            raise UserError(f"{where} is damaged or of another architecture: {name} of its {role} "
                            f"has shape {_words(found.get(name))}, and its settings ask for "
                            f"{_words(wanted.get(name))}. Fetch the file again.")
        for name, weight in trained.weights[role].items():
            if not torch.isfinite(weight).all():
                raise UserError(f"{where}: {name} of its {role} holds numbers that are not finite "
                                "(NaN or infinity). Take another snapshot of its training.")
    return trained


def _shells(network: Network, where: str) -> dict[str, Generator | Discriminator]:
    try:
        return shells(network)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise UserError(f"{where} is damaged: no network is as large as its settings ask for. "
                        "Fetch the file again.") from error


def _words(shape: Shape | None) -> str:
    return "none" if shape is None else "x".join(map(str, shape)) or "1"
