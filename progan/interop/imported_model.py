"""Networks of another program as ours take them, and a table of their layers."""

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
from progan.runtime.text import format_count
from progan.sizes import level_name

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]
HEADINGS = ("there", "shape", "here", "shape")


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportedModel:
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


def to_float_tensor(array: npt.NDArray[np.generic]) -> Tensor:
    """A copy as float32, which owns its memory."""
    return torch.from_numpy(np.array(array, np.float32, order="C"))


def require_complete(trained: ImportedModel, where: str) -> ImportedModel:
    """Raise UserError unless the weights are those of its settings, and finite."""
    for role, shell in _shells(trained.network, where).items():
        if role not in trained.weights:
            continue
        wanted = {name: tuple(blank.shape) for name, blank in shell.state_dict().items()}
        found = {name: tuple(weight.shape) for name, weight in trained.weights[role].items()}
        if wrong := sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        ):
            name = wrong[0]
            raise UserError(
                f"{where} is damaged or of another architecture: {name} of its {role} "
                f"has shape {_words(found.get(name))}, and its settings ask for "
                f"{_words(wanted.get(name))}. Fetch the file again."
            )
        for name, weight in trained.weights[role].items():
            if not torch.isfinite(weight).all():
                raise UserError(
                    f"{where}: {name} of its {role} holds numbers that are not finite "
                    "(NaN or infinity). Take another snapshot of its training."
                )
    return trained


def _shells(network: Network, where: str) -> dict[str, Generator | Discriminator]:
    try:
        return meta_networks(network)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise UserError(
            f"{where} is damaged: no network is as large as its settings ask for. "
            "Fetch the file again."
        ) from error


def _words(shape: Shape | None) -> str:
    return "none" if shape is None else "x".join(map(str, shape)) or "1"


def format_layer_table(trained: ImportedModel, where: str) -> str:
    """What a file holds, and each of its tensors by both names with both shapes."""
    return "\n".join(
        [
            _summary(trained, where),
            *(
                line
                for role, weights in trained.weights.items()
                for line in (
                    "",
                    f"{role}:",
                    *_lines(
                        trained.theirs.get(role, {}),
                        {name: tuple(weight.shape) for name, weight in weights.items()},
                    ),
                )
            ),
        ]
    )


def _summary(trained: ImportedModel, where: str) -> str:
    network = trained.network
    fade = "" if trained.alpha == 1 else f", faded in by {100 * trained.alpha:.0f} %"
    kimg = f" at kimg {trained.images_seen / 1000:g}" if trained.images_seen else ""
    return (
        f"{where}: {network.size(network.max_level)}, "
        f"{format_count(network.channels, 'channel')}, {_classes(network.label_size)}, "
        f"latents of {network.latent_size}; trained to "
        f"{level_name(network.base, trained.level)}{fade}{kimg}."
    )


def _classes(count: int) -> str:
    return format_count(count, "class", "classes") if count else "no classes"


def _lines(theirs: Mapping[str, tuple[str, Shape]], ours: Mapping[str, Shape]) -> list[str]:
    rows = [
        HEADINGS,
        *((*_there(theirs.get(name)), name, _shape(shape)) for name, shape in ours.items()),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _there(found: tuple[str, Shape] | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (found[0], _shape(found[1]))


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "1"
