"""Import networks of pytorch_GAN_zoo's PGAN: files, settings, names and scales of layers.

The zoo's layer names:

    formatLayer  groupScale0.0  scaleLayers.0.0  scaleLayers.0.1  toRGBLayers.1       of G
    groupScaleZero.0  groupScaleZero.1  decisionLayer  scaleLayers.0.0  fromRGBLayers.1   of D

each with weight and bias. Scale 0 is 4x4; `scaleLayers` start at 8x8.
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
from progan.interop.describe_file import unreadable_error
from progan.interop.describe_pickle import HEAD, is_legacy_torch, scan_pickle_file
from progan.interop.imported_model import ImportedModel, require_complete
from progan.networks import Discriminator, Generator
from progan.networks.inspection import meta_networks
from progan.networks.layers import EqualizedLayer, resolution_name
from progan.runtime.devices import is_out_of_memory
from progan.runtime.pickle_scan import get_dict_items
from progan.runtime.zip_files import list_zip_members, read_uncompressed_zip_member
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
TANH_LOSSES = {"MSE", "DCGAN"}  # whose generators end with tanh
LEAK = 0.2
STDDEV_GROUP = 4
STDDEV_MAPS = 1
ZOO_ROLES = {"netG": "generator", "netD": "discriminator", "avgG": "average"}
SETTINGS = "models.utils.config.BaseConfig"  # class of the zoo's settings
PICKLED_NAME = b"X\x04\x00\x00\x00netG"  # a pickled string of four bytes


def zoo_names(role: str, max_level: int) -> dict[str, str]:
    """Map our layer names to the zoo's: 'blocks.8x8.up' -> 'scaleLayers.0.0'."""
    kind = "discriminator" if role == "discriminator" else "generator"
    base = resolution_name(MIN_LEVEL)
    names = {f"blocks.{base}.{name}": zoo_name for name, zoo_name in FIRST[kind].items()}
    for level in range(MIN_LEVEL, max_level + 1):
        name, scale = resolution_name(level), level - MIN_LEVEL
        colors, zoo_colors = COLORS[kind]
        names[f"{colors}.{name}"] = f"{zoo_colors}.{scale}"
        if scale:
            names |= {
                f"blocks.{name}.{layer}": f"scaleLayers.{scale - 1}.{number}"
                for number, layer in enumerate(ABOVE[kind])
            }
    return names


def feature_map_counts(weights: Mapping[str, Tensor]) -> list[int]:
    """Return the feature maps of each scale, from 4x4 up, by the generator's toRGB layers."""
    to_rgb = [
        name for name in weights if name.startswith("toRGBLayers.") and name.endswith(".weight")
    ]
    return [int(weights[f"toRGBLayers.{scale}.weight"].shape[1]) for scale in range(len(to_rgb))]


def infer_fmap_base(depths: Sequence[int]) -> int:
    """Return the fmap_base that gives these feature maps, with fmap_max = depths[0].

    Raises UserError if no fmap_base does.
    """
    base = depths[-1] << (MIN_LEVEL + len(depths) - 2)
    expected = [min(base >> (MIN_LEVEL + scale - 1), depths[0]) for scale in range(len(depths))]
    if list(depths) != expected:
        raise UserError(
            f"its feature maps {', '.join(map(str, depths))} are not supported: they must halve "
            "with each resolution once there are fewer than at 4x4."
        )
    return base


def convert_from_zoo(
    settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]
) -> ImportedModel:
    """Convert the zoo's networks to ours.

    Args:
        settings: The zoo's `config`.
        weights: Under the zoo's names, of "generator", "average" and perhaps "discriminator".

    Raises:
        UserError: Our networks cannot represent them.
        LookupError, TypeError, ValueError and others: Settings or weights are invalid.
    """
    network = _infer_network(settings, weights)
    level, alpha = network.max_level, 1 - float(settings.get("alpha", 0))
    if alpha == 0:  # the newest scale exists, but has no weight yet
        level, alpha = max(level - 1, MIN_LEVEL), 1.0
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha {alpha}")
    empty_networks = meta_networks(network)
    return ImportedModel(
        network=network,
        level=level,
        alpha=alpha,
        images_seen=0,
        weights={
            role: _rescale_weights(empty_networks[role], role, own) for role, own in weights.items()
        },
        originals={
            role: {
                f"{name}.{part}": (f"{zoo_name}.{part}", tuple(own[f"{zoo_name}.{part}"].shape))
                for name, zoo_name in zoo_names(role, network.max_level).items()
                for part in ("weight", "bias")
            }
            for role, own in weights.items()
        },
    )


def _infer_network(
    settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]
) -> Network:
    """Return our settings: sizes by the shapes, the rest by the zoo's settings."""
    generator, discriminator = weights["generator"], weights.get("discriminator", {})
    if settings.get("attribKeysOrder"):
        raise UserError(
            "its images have several attributes at once; progan supports one class per image."
        )
    if float(settings.get("leakyReluLeak", LEAK)) != LEAK:
        raise UserError(
            f"its activation has slope {settings['leakyReluLeak']}; progan supports only {LEAK}."
        )
    depths = feature_map_counts(generator)
    stddev = "groupScaleZero.0.weight" in discriminator and (
        discriminator["groupScaleZero.0.weight"].shape[1] == depths[0] + STDDEV_MAPS
    )
    return Network(
        resolution=1 << (MIN_LEVEL + len(depths) - 1),
        channels=int(generator["toRGBLayers.0.weight"].shape[0]),
        latent_size=int(generator["formatLayer.weight"].shape[1]),
        fmap_base=infer_fmap_base(depths),
        fmap_max=depths[0],
        equalized_lr=bool(settings.get("equalizedlR", True)),
        output="tanh" if settings.get("lossCriterion") in TANH_LOSSES else "linear",
        stddev_group=STDDEV_GROUP if stddev or not discriminator else 0,
        fused_scaling=False,
        pixel_bias=True,
    )


def _rescale_weights(
    meta_network: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return equivalent weights under our names for our layer scales.

    The zoo scales a layer's sum, bias included, by sqrt(2 / fan-in), even where our gain differs:
    toRGB, the first layer of G and the last one of D.
    """
    result: dict[str, Tensor] = {}
    for name, zoo_name in zoo_names(role, meta_network.config.max_level).items():
        layer = meta_network.get_submodule(name)
        assert isinstance(layer, EqualizedLayer)
        weight, bias = weights[f"{zoo_name}.weight"], weights[f"{zoo_name}.bias"]
        scale = (
            math.sqrt(2 / math.prod(weight.shape[1:])) if meta_network.config.equalized_lr else 1.0
        )
        result |= {f"{name}.weight": weight * (scale / layer.scale), f"{name}.bias": bias * scale}
    return result | _correct_stddev(meta_network, role, result)


def _correct_stddev(
    meta_network: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Rescale D's convolution after the minibatch stddev: the zoo divides by N - 1, we by N."""
    if role != "discriminator" or not meta_network.config.stddev_group:
        return {}
    name = "blocks.4x4.conv.weight"
    weight = weights[name].clone()
    weight[:, -STDDEV_MAPS:] *= math.sqrt(STDDEV_GROUP / (STDDEV_GROUP - 1))
    return {name: weight}


INVALID_CONTENT = (
    LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError
)  # fmt: skip


class Settings:
    """Stand-in for the class of the zoo's settings, with its attributes only."""


def is_zoo(path: Path) -> bool:
    """Return True if a PyTorch file, of the old or new format, contains networks of the zoo."""
    index = [name for name in list_zip_members(path) if name.endswith("/data.pkl")]
    if index:
        return PICKLED_NAME in read_uncompressed_zip_member(path, index[0])
    with path.open("rb") as file:
        if not is_legacy_torch(file.read(HEAD)):
            return False
    return not {*ZOO_ROLES}.isdisjoint(get_dict_items(scan_pickle_file(path).content))


def read_zoo(path: Path) -> ImportedModel:
    """Read a PGAN file; raises UserError for others, or if it contains more than weights."""
    content = _load_content(path)
    settings = content.get("config") if isinstance(content, dict) else None
    settings = settings if isinstance(settings, dict) else getattr(settings, "__dict__", {})
    try:
        weights = {
            role: _strip_data_parallel_prefix(content[zoo_role])
            for zoo_role, role in ZOO_ROLES.items()
            if zoo_role in content
        }
        weights.setdefault("average", weights["generator"])
        model = convert_from_zoo(settings, weights)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    except INVALID_CONTENT as error:
        raise UserError(
            f"{path} is not a file of pytorch_GAN_zoo's PGAN, or it is damaged "
            f"({type(error).__name__}). Files of its model_hub are supported."
        ) from error
    return require_complete(model, str(path))


def _load_content(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([(Settings, SETTINGS)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise unreadable_error(path) from None
    except Exception as error:  # a damaged file raises any exception
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{path} is damaged ({type(error).__name__}). Download it again."
        ) from error


def _strip_data_parallel_prefix(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefix 'module.' of DataParallel from names; copy to float32."""
    return {
        name.replace("module.", ""): tensor.detach().float() for name, tensor in weights.items()
    }
