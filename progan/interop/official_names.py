"""The name map: variables of the official TensorFlow code, their layouts, and our tensors.

    4x4/Dense   4x4/Conv   8x8/Conv0_up  8x8/Conv1       ToRGB_lod2      of G and Gs
    4x4/Dense0  4x4/Dense1 8x8/Conv0     8x8/Conv1_down  FromRGB_lod2    of D

each with weight and bias; `lod` counts from the highest resolution down. Convolutions are [height,
width, in, out] there and dense layers [in, out]. The kernel of Conv0_up is that of a transposed
convolution: [height, width, out, in], and it runs backwards.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from progan.networks.layers import resolution_name
from progan.sizes import MIN_LEVEL

AnyArray = npt.NDArray[np.generic]
ROLES = {"G": "generator", "D": "discriminator", "Gs": "average"}  # networks of a pickle
TRANSPOSED = "Conv0_up/weight"


@dataclass(frozen=True, slots=True)
class _Layers:
    """Names there by our names: of the layers at 4x4, of those above, and of the colours."""

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
    """'blocks.8x8.up.weight': '8x8/Conv0_up/weight', for all tensors of a network of ours.

    Args:
        role: "generator", "discriminator" or "average".
        fused: Whether that network resamples inside of the convolutions; their names tell.
    """
    layers = _DISCRIMINATOR if role == "discriminator" else _GENERATOR
    return {
        f"{ours}.{part}": f"{theirs}/{part}"
        for level in range(MIN_LEVEL, max_level + 1)
        for ours, theirs in _of_level(layers, level, max_level, fused)
        for part in ("weight", "bias")
    }


def _of_level(layers: _Layers, level: int, max_level: int, fused: bool) -> list[tuple[str, str]]:
    name = resolution_name(level)
    ours, theirs = layers.colors
    blocks = layers.first if level == MIN_LEVEL else layers.above
    return [
        *(
            (f"blocks.{name}.{here}", f"{name}/{there if fused else there.split('_')[0]}")
            for here, there in blocks.items()
        ),
        (f"{ours}.{name}", f"{theirs}_lod{max_level - level}"),
    ]


def to_ours(official: str, array: AnyArray) -> AnyArray:
    """A variable in the layout of our tensors."""
    if official.endswith(TRANSPOSED):
        return array[::-1, ::-1].transpose(2, 3, 0, 1)
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def to_official(official: str, array: AnyArray) -> AnyArray:
    """The opposite."""
    if official.endswith(TRANSPOSED):
        return array.transpose(2, 3, 0, 1)[::-1, ::-1]
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
