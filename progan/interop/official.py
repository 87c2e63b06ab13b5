"""Official networks <-> ours: settings, names, layouts and the place in the schedule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.official_names import ROLES, AnyArray, official_names, to_official, to_ours
from progan.interop.official_settings import arguments_of, require_official, settings_of
from progan.interop.trained import Shape, Trained, require_whole, tensor
from progan.sizes import MIN_LEVEL

LOD = "lod"  # the variable


@dataclass(frozen=True, slots=True)
class OfficialNetwork:
    """A network as the official code stores it."""

    arguments: Mapping[str, Any]  # of the function that builds it: its static_kwargs
    variables: Mapping[str, AnyArray]


def from_official(found: Mapping[str, OfficialNetwork], where: str, images_seen: int) -> Trained:
    """Ours, of the networks 'G', 'D' and 'Gs'; raises UserError if they cannot be.

    Any may be missing, but for one of G and Gs, which stand for each other.

    Args:
        where: Names the file in messages.
    """
    try:
        trained = _translated({"Gs": found["G"], **found} if "G" in found else found, images_seen)
    except UserError as error:
        raise UserError(f"{where} cannot be used: {error}") from error
    except (ValueError, TypeError, ArithmeticError) as error:
        raise UserError(f"{where} is damaged: the arguments of its networks make no sense "
                        f"({type(error).__name__}). Fetch it again.") from error
    return require_whole(trained, where)


def _translated(found: Mapping[str, OfficialNetwork], images_seen: int) -> Trained:
    main, judge = found["Gs"], found.get("D")
    network = settings_of(main.arguments, judge.arguments if judge else None)
    level, alpha = place(float(main.variables.get(LOD, np.zeros(()))), network.max_level)
    cells = {ROLES[name]: _by_our_name(name, network, official)
             for name, official in found.items()}
    return Trained(
        network=network, level=level, alpha=alpha, images_seen=images_seen,
        weights={role: {ours: tensor(to_ours(*cell)) for ours, cell in own.items()}
                 for role, own in cells.items()},
        theirs={role: {ours: (theirs, array.shape) for ours, (theirs, array) in own.items()}
                for role, own in cells.items()})


def _by_our_name(name: str, network: Network, official: OfficialNetwork
                 ) -> dict[str, tuple[str, AnyArray]]:
    """Name and array there, for each of our tensors; raises UserError if these are others."""
    fused = bool(official.arguments.get("fused_scale", True))
    names = official_names(ROLES[name], network.max_level, fused=fused)
    if wrong := sorted({*names.values()} ^ (official.variables.keys() - {LOD})):
        what = "lacks" if wrong[0] in names.values() else "has an unknown"
        raise UserError(f"its {name} {what} {ascii(wrong[0])[:80]}. Fetch it again.")
    return {ours: (theirs, official.variables[theirs]) for ours, theirs in names.items()}


def to_official_networks(trained: Trained, where: str) -> dict[str, OfficialNetwork]:
    """Theirs, for the networks that there are; raises UserError if the code cannot build them."""
    network = trained.network
    require_official(network, where, judges="discriminator" in trained.weights)
    arguments = arguments_of(network)
    lod = np.float32(network.max_level - trained.level + (1 - trained.alpha))
    return {name: OfficialNetwork(arguments[role], {LOD: np.asarray(lod)} | _variables(
        role, network, trained.weights[role]))
        for name, role in ROLES.items() if role in trained.weights}


def _variables(role: str, network: Network, weights: Mapping[str, Tensor]) -> dict[str, AnyArray]:
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {theirs: np.ascontiguousarray(to_official(theirs, weights[ours].numpy()))
            for ours, theirs in names.items()}


def official_layers(role: str, network: Network, shapes: Mapping[str, Shape]
                    ) -> dict[str, tuple[str, Shape]]:
    """What the official code calls our tensors of these shapes, and their shapes there."""
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {ours: (names[ours], to_official(names[ours], np.empty(shape)).shape)
            for ours, shape in shapes.items()}


def place(lod: float, max_level: int) -> tuple[int, float]:
    """Level and alpha of their lod, which counts from the highest level down: 1.3 -> (max-1, .7).

    Raises ValueError if there is no such place.
    """
    if not 0 <= lod <= max_level - MIN_LEVEL:
        raise ValueError(f"lod {lod}")
    return max_level - math.floor(lod), 1 - (lod - math.floor(lod))
