"""The name map of pytorch_GAN_zoo's PGAN, and the widths of its layers.

    formatLayer  groupScale0.0  scaleLayers.0.0  scaleLayers.0.1  toRGBLayers.1       of G
    groupScaleZero.0  groupScaleZero.1  decisionLayer  scaleLayers.0.0  fromRGBLayers.1   of D

each with weight and bias. Scale 0 is 4x4; `scaleLayers` begin with 8x8.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor

from progan.errors import UserError
from progan.networks.layers import resolution_name
from progan.sizes import MIN_LEVEL

FIRST = {
    "generator": {"dense": "formatLayer", "conv": "groupScale0.0"},
    "discriminator": {"conv": "groupScaleZero.0", "hidden": "groupScaleZero.1",
                      "output": "decisionLayer"}}
ABOVE = {"generator": ("up", "conv"), "discriminator": ("conv", "down")}
COLORS = {"generator": ("to_rgb", "toRGBLayers"), "discriminator": ("from_rgb", "fromRGBLayers")}


def zoo_names(role: str, max_level: int) -> dict[str, str]:
    """'blocks.8x8.up': 'scaleLayers.0.0', for all layers of a network of ours."""
    kind = "discriminator" if role == "discriminator" else "generator"
    base = resolution_name(MIN_LEVEL)
    names = {f"blocks.{base}.{ours}": theirs for ours, theirs in FIRST[kind].items()}
    for level in range(MIN_LEVEL, max_level + 1):
        name, scale = resolution_name(level), level - MIN_LEVEL
        ours, theirs = COLORS[kind]
        names[f"{ours}.{name}"] = f"{theirs}.{scale}"
        if scale:
            names |= {f"blocks.{name}.{layer}": f"scaleLayers.{scale - 1}.{number}"
                      for number, layer in enumerate(ABOVE[kind])}
    return names


def depths_of(weights: Mapping[str, Tensor]) -> list[int]:
    """Feature maps of each scale, from 4x4 up, by the layers that make the colours of G."""
    colors = [name for name in weights if name.startswith("toRGBLayers.")
              and name.endswith(".weight")]
    return [int(weights[f"toRGBLayers.{scale}.weight"].shape[1]) for scale in range(len(colors))]


def fmap_base_of(depths: Sequence[int]) -> int:
    """The fmap_base that gives these feature maps, halved with each level below fmap_max.

    Raises UserError if there is none; fmap_max is the depth at 4x4.
    """
    base = depths[-1] << (MIN_LEVEL + len(depths) - 2)
    wanted = [min(base >> (MIN_LEVEL + scale - 1), depths[0]) for scale in range(len(depths))]
    if list(depths) != wanted:
        raise UserError(f"its feature maps {', '.join(map(str, depths))} are not those of networks "
                        "here, which are halved with each resolution once they are fewer than "
                        "at 4x4.")
    return base
