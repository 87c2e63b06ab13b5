"""Official networks <-> ours: settings, names, layouts and the place in the schedule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.imported_model import ImportedModel, Shape, require_whole, tensor
from progan.interop.official_names import ROLES, AnyArray, official_names, to_official, to_ours
from progan.option_fields import section_changes
from progan.sizes import MIN_LEVEL

Arguments = Mapping[str, Any]

# Argument there: (our setting, official default).
SHARED: dict[str, tuple[str, Any]] = {
    "resolution": ("resolution", 32),
    "num_channels": ("channels", 1),
    "label_size": ("label_size", 0),
    "fmap_base": ("fmap_base", 8192),
    "fmap_decay": ("fmap_decay", 1.0),
    "fmap_max": ("fmap_max", 512),
    "use_wscale": ("equalized_lr", True),
    "fused_scale": ("fused_scaling", True),
}
NORMS = {True: "pixel", False: "none"}  # use_pixelnorm
ACTIVATIONS = {True: "leaky-relu", False: "relu"}  # use_leakyrelu
STDDEV_GROUP = 4
EPSILON = 1e-8  # of the pixel norm

APART = {"fused_scaling", "fmap_base"}  # settings that G and D may have each for itself
# What a network that only draws pictures does not need to be equal to the official one.
OF_TRAINING = ("weight_stddev", "dropout", "kernel", "output_kernel", "code_size", "energy")
OF_THE_DISCRIMINATOR = (
    "d_fmap_base",
    "d_norm",
    "d_activation",
    "stddev_group",
    "minibatch_kernels",
)
LOD = "lod"  # the variable


def settings_of(generator: Arguments, discriminator: Arguments | None = None) -> Network:
    """Our settings; raises UserError for what we do not have, ValueError for what makes no sense.

    Arguments that the official networks do not know they ignore, and so does this.
    """
    if float(generator.get("pixelnorm_epsilon", EPSILON)) != EPSILON:
        raise UserError(f"pixelnorm_epsilon {generator['pixelnorm_epsilon']} is not {EPSILON}.")
    ours = _shared(generator)
    latent_size = generator.get("latent_size")
    network = Network(
        **ours,
        latent_size=int(latent_size or min(ours["fmap_base"], ours["fmap_max"])),
        normalize_latents=bool(generator.get("normalize_latents", True)),
        g_norm=NORMS[bool(generator.get("use_pixelnorm", True))],
        g_activation=ACTIVATIONS[bool(generator.get("use_leakyrelu", True))],
    )
    return network if discriminator is None else _with(network, discriminator)


def arguments_of(network: Network) -> dict[str, dict[str, Any]]:
    """The arguments of the official generator and discriminator; raises UserError if none fit."""
    shared = {there: getattr(network, here) for there, (here, _) in SHARED.items()}
    found = {
        "generator": shared
        | {
            "latent_size": network.latent_size,
            "normalize_latents": network.normalize_latents,
            "use_pixelnorm": network.g_norm == "pixel",
            "use_leakyrelu": network.g_activation == "leaky-relu",
        },
        "discriminator": shared
        | {
            "fmap_base": network.discriminator_width.fmap_base,
            "mbstd_group_size": network.stddev_group,
        },
    }
    return found | {"average": found["generator"]}


def require_official(network: Network, where: str, *, judges: bool) -> None:
    """Raise UserError unless the official code can build such networks.

    Args:
        judges: Whether there is a discriminator to build.
    """
    arguments = arguments_of(network)
    official = settings_of(arguments["generator"], arguments["discriminator"])
    free = OF_TRAINING + (() if judges else OF_THE_DISCRIMINATOR)
    if network.d_fmap_base == network.fmap_base:
        free += ("d_fmap_base",)  # as good as 0
    same = replace(official, **{name: getattr(network, name) for name in free})
    if different := section_changes(same, network):
        raise UserError(
            f"{where} has no counterpart among the official networks, which differ in "
            f"{'; '.join(different)}. Keep it as it is."
        )


def _shared(arguments: Arguments) -> dict[str, Any]:
    return {
        here: type(default)(arguments.get(there, default))
        for there, (here, default) in SHARED.items()
    }


def _with(network: Network, discriminator: Arguments) -> Network:
    """The settings of the generator with those of the discriminator beside it."""
    ours = _shared(discriminator)
    for name, value in ours.items():
        if name not in APART and value != getattr(network, name):
            raise UserError(
                f"its G has {name} {getattr(network, name)} and its D {value}, which "
                "are equal here."
            )
    width = ours["fmap_base"]
    group = int(discriminator.get("mbstd_group_size", STDDEV_GROUP))
    return replace(
        network,
        fused_scaling=ours["fused_scaling"],
        d_fmap_base=0 if width == network.fmap_base else width,
        stddev_group=group if group > 1 else 0,
    )


@dataclass(frozen=True, slots=True)
class OfficialNetwork:
    """A network as the official code stores it."""

    arguments: Mapping[str, Any]  # of the function that builds it: its static_kwargs
    variables: Mapping[str, AnyArray]


def from_official(
    found: Mapping[str, OfficialNetwork], where: str, images_seen: int
) -> ImportedModel:
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
        raise UserError(
            f"{where} is damaged: the arguments of its networks make no sense "
            f"({type(error).__name__}). Fetch it again."
        ) from error
    return require_whole(trained, where)


def _translated(found: Mapping[str, OfficialNetwork], images_seen: int) -> ImportedModel:
    main, judge = found["Gs"], found.get("D")
    network = settings_of(main.arguments, judge.arguments if judge else None)
    level, alpha = place(float(main.variables.get(LOD, np.zeros(()))), network.max_level)
    cells = {ROLES[name]: _by_our_name(name, network, official) for name, official in found.items()}
    return ImportedModel(
        network=network,
        level=level,
        alpha=alpha,
        images_seen=images_seen,
        weights={
            role: {ours: tensor(to_ours(*cell)) for ours, cell in own.items()}
            for role, own in cells.items()
        },
        theirs={
            role: {ours: (theirs, array.shape) for ours, (theirs, array) in own.items()}
            for role, own in cells.items()
        },
    )


def _by_our_name(
    name: str, network: Network, official: OfficialNetwork
) -> dict[str, tuple[str, AnyArray]]:
    """Name and array there, for each of our tensors; raises UserError if these are others."""
    fused = bool(official.arguments.get("fused_scale", True))
    names = official_names(ROLES[name], network.max_level, fused=fused)
    if wrong := sorted({*names.values()} ^ (official.variables.keys() - {LOD})):
        what = "lacks" if wrong[0] in names.values() else "has an unknown"
        raise UserError(f"its {name} {what} {ascii(wrong[0])[:80]}. Fetch it again.")
    return {ours: (theirs, official.variables[theirs]) for ours, theirs in names.items()}


def to_official_networks(trained: ImportedModel, where: str) -> dict[str, OfficialNetwork]:
    """Theirs, for the networks that there are; raises UserError if the code cannot build them."""
    network = trained.network
    require_official(network, where, judges="discriminator" in trained.weights)
    arguments = arguments_of(network)
    lod = np.float32(network.max_level - trained.level + (1 - trained.alpha))
    return {
        name: OfficialNetwork(
            arguments[role],
            {LOD: np.asarray(lod)} | _variables(role, network, trained.weights[role]),
        )
        for name, role in ROLES.items()
        if role in trained.weights
    }


def _variables(role: str, network: Network, weights: Mapping[str, Tensor]) -> dict[str, AnyArray]:
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {
        theirs: np.ascontiguousarray(to_official(theirs, weights[ours].numpy()))
        for ours, theirs in names.items()
    }


def official_layers(
    role: str, network: Network, shapes: Mapping[str, Shape]
) -> dict[str, tuple[str, Shape]]:
    """What the official code calls our tensors of these shapes, and their shapes there."""
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {
        ours: (names[ours], to_official(names[ours], np.empty(shape)).shape)
        for ours, shape in shapes.items()
    }


def place(lod: float, max_level: int) -> tuple[int, float]:
    """Level and alpha of their lod, which counts from the highest level down: 1.3 -> (max-1, .7).

    Raises ValueError if there is no such place.
    """
    if not 0 <= lod <= max_level - MIN_LEVEL:
        raise ValueError(f"lod {lod}")
    return max_level - math.floor(lod), 1 - (lod - math.floor(lod))
