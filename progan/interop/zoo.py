"""Networks of pytorch_GAN_zoo's PGAN -> ours: their files, settings, names and constants of layers.

The names of their layers:

    formatLayer  groupScale0.0  scaleLayers.0.0  scaleLayers.0.1  toRGBLayers.1       of G
    groupScaleZero.0  groupScaleZero.1  decisionLayer  scaleLayers.0.0  fromRGBLayers.1   of D

each with weight and bias. Scale 0 is 4x4; `scaleLayers` begin with 8x8.
"""

import math
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.describe_file import refusal
from progan.interop.describe_pickle import HEAD, is_old_torch, scan_file
from progan.interop.imported_model import ImportedModel, require_whole
from progan.networks import Discriminator, Generator
from progan.networks.inspection import meta_networks
from progan.networks.layers import Equalized, resolution_name
from progan.runtime.files import read_stored_member, zip_member_names
from progan.runtime.pickle_scan import dict_items
from progan.sizes import MIN_LEVEL

FIRST = {
    "generator": {"dense": "formatLayer", "conv": "groupScale0.0"},
    "discriminator": {
        "conv": "groupScaleZero.0",
        "hidden": "groupScaleZero.1",
        "output": "decisionLayer",
    },
}
ABOVE = {"generator": ("up", "conv"), "discriminator": ("conv", "down")}
COLORS = {"generator": ("to_rgb", "toRGBLayers"), "discriminator": ("from_rgb", "fromRGBLayers")}
TANH = {"MSE", "DCGAN"}  # losses whose generators end with it
LEAK = 0.2
STDDEV_GROUP = 4
STDDEV_MAPS = 1
ZOO_ROLES = {"netG": "generator", "netD": "discriminator", "avgG": "average"}
SETTINGS = "models.utils.config.BaseConfig"  # the class of their settings
PICKLED_NAME = b"X\x04\x00\x00\x00netG"  # text of four bytes


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
            names |= {
                f"blocks.{name}.{layer}": f"scaleLayers.{scale - 1}.{number}"
                for number, layer in enumerate(ABOVE[kind])
            }
    return names


def depths_of(weights: Mapping[str, Tensor]) -> list[int]:
    """Feature maps of each scale, from 4x4 up, by the layers that make the colours of G."""
    colors = [
        name for name in weights if name.startswith("toRGBLayers.") and name.endswith(".weight")
    ]
    return [int(weights[f"toRGBLayers.{scale}.weight"].shape[1]) for scale in range(len(colors))]


def fmap_base_of(depths: Sequence[int]) -> int:
    """The fmap_base that gives these feature maps, halved with each level below fmap_max.

    Raises UserError if there is none; fmap_max is the depth at 4x4.
    """
    base = depths[-1] << (MIN_LEVEL + len(depths) - 2)
    wanted = [min(base >> (MIN_LEVEL + scale - 1), depths[0]) for scale in range(len(depths))]
    if list(depths) != wanted:
        raise UserError(
            f"its feature maps {', '.join(map(str, depths))} are not those of networks "
            "here, which are halved with each resolution once they are fewer than "
            "at 4x4."
        )
    return base


def from_zoo(
    settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]
) -> ImportedModel:
    """Ours; raises UserError for networks that cannot be, and most errors for what makes no sense.

    Args:
        settings: Theirs, `config`.
        weights: Under their names, of "generator", "average" and perhaps "discriminator".
    """
    network = _network(settings, weights)
    level, alpha = network.max_level, 1 - float(settings.get("alpha", 0))
    if alpha == 0:  # the newest scale is there, but has no weight yet
        level, alpha = max(level - 1, MIN_LEVEL), 1.0
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha {alpha}")
    blanks = meta_networks(network)
    return ImportedModel(
        network=network,
        level=level,
        alpha=alpha,
        images_seen=0,
        weights={role: _rescaled(blanks[role], role, own) for role, own in weights.items()},
        theirs={
            role: {
                f"{ours}.{part}": (f"{theirs}.{part}", tuple(own[f"{theirs}.{part}"].shape))
                for ours, theirs in zoo_names(role, network.max_level).items()
                for part in ("weight", "bias")
            }
            for role, own in weights.items()
        },
    )


def _network(settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]) -> Network:
    """Our settings: sizes from the shapes, and from theirs what shapes do not tell."""
    generator, judge = weights["generator"], weights.get("discriminator", {})
    if settings.get("attribKeysOrder"):
        raise UserError(
            "it draws images by attributes, of which there may be several at once; "
            "here an image has one class."
        )
    if float(settings.get("leakyReluLeak", LEAK)) != LEAK:
        raise UserError(
            f"its activation has slope {settings['leakyReluLeak']}, and here it is {LEAK}."
        )
    depths = depths_of(generator)
    stddev = "groupScaleZero.0.weight" in judge and (
        judge["groupScaleZero.0.weight"].shape[1] == depths[0] + STDDEV_MAPS
    )
    return Network(
        resolution=1 << (MIN_LEVEL + len(depths) - 1),
        channels=int(generator["toRGBLayers.0.weight"].shape[0]),
        latent_size=int(generator["formatLayer.weight"].shape[1]),
        fmap_base=fmap_base_of(depths),
        fmap_max=depths[0],
        equalized_lr=bool(settings.get("equalizedlR", True)),
        output="tanh" if settings.get("lossCriterion") in TANH else "linear",
        stddev_group=STDDEV_GROUP if stddev or not judge else 0,
        fused_scaling=False,
        pixel_bias=True,
    )


def _rescaled(
    shell: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights under our names that do the same with our constants.

    Theirs scales the sum of a layer, its bias included, by sqrt(2 / fan-in), also where ours has
    another gain: colours of G, first layer of G and last one of D.
    """
    result: dict[str, Tensor] = {}
    for ours, theirs in zoo_names(role, shell.config.max_level).items():
        layer = shell.get_submodule(ours)
        assert isinstance(layer, Equalized)
        weight, bias = weights[f"{theirs}.weight"], weights[f"{theirs}.bias"]
        scale = math.sqrt(2 / math.prod(weight.shape[1:])) if shell.config.equalized_lr else 1.0
        result |= {f"{ours}.weight": weight * (scale / layer.scale), f"{ours}.bias": bias * scale}
    return result | _unbiased(shell, role, result)


def _unbiased(
    shell: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The convolution of D after the minibatch stddev, which divides by N - 1 there and N here."""
    if role != "discriminator" or not shell.config.stddev_group:
        return {}
    name = "blocks.4x4.conv.weight"
    weight = weights[name].clone()
    weight[:, -STDDEV_MAPS:] *= math.sqrt(STDDEV_GROUP / (STDDEV_GROUP - 1))
    return {name: weight}


class Settings:
    """What stands for the class of their settings: attributes, and nothing that they do."""


def is_zoo(path: Path) -> bool:
    """Whether a file of PyTorch, old or new, has networks of the zoo."""
    index = [name for name in zip_member_names(path) if name.endswith("/data.pkl")]
    if index:
        return PICKLED_NAME in read_stored_member(path, index[0])
    with path.open("rb") as file:
        if not is_old_torch(file.read(HEAD)):
            return False
    return not {*ZOO_ROLES}.isdisjoint(dict_items(scan_file(path).content))


def read_zoo(path: Path) -> ImportedModel:
    """Read a file; raises UserError if it is none of PGAN's, or asks for more than weights."""
    content = _content(path)
    settings = content.get("config") if isinstance(content, dict) else None
    settings = settings if isinstance(settings, dict) else getattr(settings, "__dict__", {})
    try:
        weights = {
            ours: _plain(content[theirs]) for theirs, ours in ZOO_ROLES.items() if theirs in content
        }
        weights.setdefault("average", weights["generator"])
        trained = from_zoo(settings, weights)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise UserError(
            f"{path} is no file of pytorch_GAN_zoo's PGAN, or it is damaged "
            f"({type(error).__name__}). Those of its model_hub are known."
        ) from error
    return require_whole(trained, str(path))


def _content(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([(Settings, SETTINGS)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise refusal(path) from None
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(f"{path} is damaged ({type(error).__name__}). Fetch it again.") from error


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the wrappers, by which some versions of the zoo call all layers and others none."""
    return {
        name.replace("module.", ""): tensor.detach().float() for name, tensor in weights.items()
    }
