"""The name map: variables of the official TensorFlow code, their layouts, and our tensors.

    4x4/Dense   4x4/Conv   8x8/Conv0_up  8x8/Conv1       ToRGB_lod2      of G and Gs
    4x4/Dense0  4x4/Dense1 8x8/Conv0     8x8/Conv1_down  FromRGB_lod2    of D

each with weight and bias; `lod` counts from the highest resolution down. Convolutions are [height,
width, in, out] and dense layers [in, out]. The kernel of Conv0_up is that of a transposed
convolution: [height, width, out, in], and it runs backwards.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.imported_model import ImportedModel, Shape, require_complete, to_float_tensor
from progan.networks.layers import resolution_name
from progan.option_fields import format_changes, list_section_changes
from progan.sizes import MIN_LEVEL

AnyArray = npt.NDArray[np.generic]
ROLES = {"G": "generator", "D": "discriminator", "Gs": "average"}  # networks of a pickle
TRANSPOSED = "Conv0_up/weight"


@dataclass(frozen=True, slots=True)
class _Layers:
    """Official names by our names, of layers at 4x4, above it, and to or from RGB."""

    first: dict[str, str]
    above: dict[str, str]
    colors: tuple[str, str]


_GENERATOR = _Layers(
    {"dense": "Dense", "conv": "Conv"}, {"up": "Conv0_up", "conv": "Conv1"}, ("to_rgb", "ToRGB")
)
_DISCRIMINATOR = _Layers(
    {"conv": "Conv", "hidden": "Dense0", "output": "Dense1"},
    {"conv": "Conv0", "down": "Conv1_down"},
    ("from_rgb", "FromRGB"),
)


def official_names(role: str, max_level: int, *, fused: bool) -> dict[str, str]:
    """Map our tensor names to official ones: 'blocks.8x8.up.weight' -> '8x8/Conv0_up/weight'.

    Args:
        role: "generator", "discriminator" or "average".
        fused: The network resamples inside the convolutions, which changes their names.
    """
    layers = _DISCRIMINATOR if role == "discriminator" else _GENERATOR
    return {
        f"{name}.{part}": f"{official}/{part}"
        for level in range(MIN_LEVEL, max_level + 1)
        for name, official in _list_level_names(layers, level, max_level, fused)
        for part in ("weight", "bias")
    }


def _list_level_names(
    layers: _Layers, level: int, max_level: int, fused: bool
) -> list[tuple[str, str]]:
    side = resolution_name(level)
    colors, official_colors = layers.colors
    blocks = layers.first if level == MIN_LEVEL else layers.above
    return [
        *(
            (f"blocks.{side}.{name}", f"{side}/{official if fused else official.split('_')[0]}")
            for name, official in blocks.items()
        ),
        (f"{colors}.{side}", f"{official_colors}_lod{max_level - level}"),
    ]


def transpose_from_official(official: str, array: AnyArray) -> AnyArray:
    """Transpose an official variable to the layout of our tensors."""
    if official.endswith(TRANSPOSED):
        return array[::-1, ::-1].transpose(2, 3, 0, 1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def transpose_to_official(official: str, array: AnyArray) -> AnyArray:
    """Transpose one of our tensors to the layout of the official variable."""
    if official.endswith(TRANSPOSED):
        return array.transpose(2, 3, 0, 1)[::-1, ::-1]
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


Arguments = Mapping[str, Any]

# Official argument: (setting, official default).
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
PIXEL_NORM_EPSILON = 1e-8

MAY_DIFFER = {"fused_scaling", "fmap_base"}  # settings that may differ between G and D
# Settings without influence on the generator's images.
TRAINING_SETTINGS = ("weight_stddev", "dropout", "kernel", "output_kernel", "code_size", "energy")
DISCRIMINATOR_SETTINGS = (
    "d_fmap_base",
    "d_norm",
    "d_activation",
    "stddev_group",
    "minibatch_kernels",
)
LOD = "lod"  # the variable


def network_from_arguments(generator: Arguments, discriminator: Arguments | None = None) -> Network:
    """Translate arguments of the official networks to our settings; unknown ones are ignored.

    Raises:
        UserError: Our networks have no such setting.
        ValueError, TypeError: The arguments are invalid.
    """
    if float(generator.get("pixelnorm_epsilon", PIXEL_NORM_EPSILON)) != PIXEL_NORM_EPSILON:
        raise UserError(
            f"pixelnorm_epsilon {generator['pixelnorm_epsilon']} is not {PIXEL_NORM_EPSILON}."
        )
    shared = _translate_shared_settings(generator)
    latent_size = generator.get("latent_size")
    network = Network(
        **shared,
        latent_size=int(latent_size or min(shared["fmap_base"], shared["fmap_max"])),
        normalize_latents=bool(generator.get("normalize_latents", True)),
        g_norm=NORMS[bool(generator.get("use_pixelnorm", True))],
        g_activation=ACTIVATIONS[bool(generator.get("use_leakyrelu", True))],
    )
    return network if discriminator is None else _add_discriminator_settings(network, discriminator)


def official_arguments(network: Network) -> dict[str, dict[str, Any]]:
    """Return the arguments of the official networks for our settings, by role."""
    shared = {argument: getattr(network, name) for argument, (name, _) in SHARED.items()}
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
            "fmap_base": network.discriminator_config.fmap_base,
            "mbstd_group_size": network.stddev_group,
        },
    }
    return found | {"average": found["generator"]}


def require_official(network: Network, where: str, *, with_discriminator: bool) -> None:
    """Raise UserError unless the official code can build such networks.

    Args:
        with_discriminator: Check the settings of the discriminator, too.
    """
    arguments = official_arguments(network)
    official = network_from_arguments(arguments["generator"], arguments["discriminator"])
    free = TRAINING_SETTINGS + (() if with_discriminator else DISCRIMINATOR_SETTINGS)
    if network.d_fmap_base == network.fmap_base:
        free += ("d_fmap_base",)  # equivalent to 0
    same = replace(official, **{name: getattr(network, name) for name in free})
    if different := list_section_changes(same, network):
        raise UserError(
            f"{where} cannot be converted to official networks, which differ in "
            f"{format_changes(different)}. Convert it to .onnx or .pt2 instead."
        )


def _translate_shared_settings(arguments: Arguments) -> dict[str, Any]:
    return {
        name: type(default)(arguments.get(argument, default))
        for argument, (name, default) in SHARED.items()
    }


def _add_discriminator_settings(network: Network, discriminator: Arguments) -> Network:
    """Add the settings of the discriminator to those of the generator."""
    shared = _translate_shared_settings(discriminator)
    for name, value in shared.items():
        if name not in MAY_DIFFER and value != getattr(network, name):
            raise UserError(
                f"its G has {name} {getattr(network, name)} and its D {value}; progan "
                "needs equal ones."
            )
    width = shared["fmap_base"]
    group = int(discriminator.get("mbstd_group_size", STDDEV_GROUP))
    return replace(
        network,
        fused_scaling=shared["fused_scaling"],
        d_fmap_base=0 if width == network.fmap_base else width,
        stddev_group=group if group > 1 else 0,
    )


@dataclass(frozen=True, slots=True)
class OfficialNetwork:
    """A network as the official code stores it."""

    arguments: Mapping[str, Any]  # static_kwargs of the function that builds it
    variables: Mapping[str, AnyArray]


def convert_from_official(
    found: Mapping[str, OfficialNetwork], where: str, images_seen: int
) -> ImportedModel:
    """Convert the networks 'G', 'D' and 'Gs' to ours; raises UserError if impossible.

    D may be missing, and one of G and Gs.

    Args:
        where: Name of the file in messages.
    """
    try:
        model = _convert({"Gs": found["G"], **found} if "G" in found else found, images_seen)
    except UserError as error:
        raise UserError(f"{where} cannot be used: {error}") from error
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:
        raise UserError(
            f"{where} is damaged: the arguments of its networks are invalid "
            f"({type(error).__name__}). Download it again."
        ) from error
    return require_complete(model, where)


def _convert(found: Mapping[str, OfficialNetwork], images_seen: int) -> ImportedModel:
    main, discriminator = found["Gs"], found.get("D")
    network = network_from_arguments(
        main.arguments, discriminator.arguments if discriminator else None
    )
    level, alpha = lod_to_level(float(main.variables.get(LOD, np.zeros(()))), network.max_level)
    cells = {
        ROLES[name]: _pair_with_our_names(name, network, official)
        for name, official in found.items()
    }
    return ImportedModel(
        network=network,
        level=level,
        alpha=alpha,
        images_seen=images_seen,
        weights={
            role: {
                name: to_float_tensor(transpose_from_official(*cell)) for name, cell in own.items()
            }
            for role, own in cells.items()
        },
        originals={
            role: {name: (source, array.shape) for name, (source, array) in own.items()}
            for role, own in cells.items()
        },
    )


def _pair_with_our_names(
    name: str, network: Network, official: OfficialNetwork
) -> dict[str, tuple[str, AnyArray]]:
    """Return official name and array of each of our tensors; raises UserError if names differ."""
    fused = bool(official.arguments.get("fused_scale", True))
    names = official_names(ROLES[name], network.max_level, fused=fused)
    if wrong := sorted({*names.values()} ^ (official.variables.keys() - {LOD})):
        what = "lacks" if wrong[0] in names.values() else "has an unknown"
        raise UserError(f"its {name} {what} {ascii(wrong[0])[:80]}. Download it again.")
    return {name: (source, official.variables[source]) for name, source in names.items()}


def convert_to_official(model: ImportedModel, where: str) -> dict[str, OfficialNetwork]:
    """Convert our networks to official ones; raises UserError if the code cannot build them."""
    network = model.network
    require_official(network, where, with_discriminator="discriminator" in model.weights)
    arguments = official_arguments(network)
    lod = np.float32(network.max_level - model.level + (1 - model.alpha))
    return {
        name: OfficialNetwork(
            arguments[role],
            {LOD: np.asarray(lod)} | _collect_variables(role, network, model.weights[role]),
        )
        for name, role in ROLES.items()
        if role in model.weights
    }


def _collect_variables(
    role: str, network: Network, weights: Mapping[str, Tensor]
) -> dict[str, AnyArray]:
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {
        official: np.ascontiguousarray(transpose_to_official(official, weights[name].numpy()))
        for name, official in names.items()
    }


def official_layers(
    role: str, network: Network, shapes: Mapping[str, Shape]
) -> dict[str, tuple[str, Shape]]:
    """Return official names and shapes of our tensors of these shapes."""
    names = official_names(role, network.max_level, fused=network.fused_scaling)
    return {
        name: (names[name], transpose_to_official(names[name], np.empty(shape)).shape)
        for name, shape in shapes.items()
    }


def lod_to_level(lod: float, max_level: int) -> tuple[int, float]:
    """Convert lod, counted down from the highest level, to level and alpha: 1.3 -> (max - 1, 0.7).

    Raises ValueError if it is out of range.
    """
    if not 0 <= lod <= max_level - MIN_LEVEL:
        raise ValueError(f"lod {lod}")
    return max_level - math.floor(lod), 1 - (lod - math.floor(lod))
