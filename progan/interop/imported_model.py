"""Networks of another program under our names, and checks that they are complete."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.networks import Discriminator, Generator
from progan.networks.inspection import meta_networks
from progan.sizes import MIN_LEVEL

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedModel:
    """Weights under our names, with the state of their training and their original names."""

    network: Network
    weights: Mapping[str, Mapping[str, Tensor]]  # "generator", "discriminator", "average"
    level: int  # log2 of the resolution that was trained last
    alpha: float  # weight of that level; below 1 if it was being faded in
    images_seen: int  # 0 if unknown
    originals: Mapping[str, Mapping[str, tuple[str, Shape]]]  # original name and shape, per role
    known_names: tuple[str, ...] = ()  # classes; () if unknown
    untrained_classes: tuple[int, ...] = ()
    first_level: int = MIN_LEVEL  # where the training of a growing network began

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the classes, or their indices if unknown."""
        return self.known_names or tuple(map(str, range(self.network.label_size)))


def to_float_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """Copy an array to a float32 tensor."""
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def require_complete(model: ImportedModel, where: str) -> ImportedModel:
    """Return the model; raises UserError unless shapes fit its settings and weights are finite."""
    for role, network in _build_meta_networks(model.network, where).items():
        if role not in model.weights:
            continue
        expected = {name: tuple(weight.shape) for name, weight in network.state_dict().items()}
        found = {name: tuple(weight.shape) for name, weight in model.weights[role].items()}
        if wrong := sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        ):
            name = wrong[0]
            raise UserError(
                f"{where} is damaged or of another architecture: {name} of its {role} "
                f"has shape {format_shape(found.get(name))}, and its settings ask for "
                f"{format_shape(expected.get(name))}. Download the file again."
            )
        for name, weight in model.weights[role].items():
            if not torch.isfinite(weight).all():
                raise UserError(
                    f"{where}: {name} of its {role} contains values that are not finite "
                    "(NaN or infinity). Take another snapshot of its training."
                )
    return model


def _build_meta_networks(network: Network, where: str) -> dict[str, Generator | Discriminator]:
    try:
        return meta_networks(network)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise UserError(
            f"{where} is damaged: no network is as large as its settings ask for. "
            "Download the file again."
        ) from error


def format_shape(shape: Shape | None) -> str:
    """Return e.g. '3x3x16', '1' for a scalar, '–' for None."""
    return "–" if shape is None else "x".join(map(str, shape)) or "1"
