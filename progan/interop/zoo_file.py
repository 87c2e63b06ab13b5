"""Files of pytorch_GAN_zoo's PGAN, as its `model_hub` has them: settings and state dictionaries."""

import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.trained import Trained, require_whole
from progan.interop.zip_members import members, stored
from progan.interop.zoo_names import depths_of, fmap_base_of, zoo_names
from progan.networks import Discriminator, Generator
from progan.networks.layers import Equalized
from progan.networks.shells import shells
from progan.sizes import MIN_LEVEL

ROLES = {"netG": "generator", "netD": "discriminator", "avgG": "average"}
SETTINGS = "models.utils.config.BaseConfig"  # the class of their settings
OLD_FORMAT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how files of torch before 1.6 begin
PICKLED_NAME = b"X\x04\x00\x00\x00netG"  # text of four bytes
TANH = {"MSE", "DCGAN"}  # losses whose generators end with it
LEAK = 0.2
STDDEV_GROUP = 4
STDDEV_MAPS = 1


class Settings:
    """What stands for the class of their settings: attributes, and nothing that they do."""


def is_zoo(path: Path) -> bool:
    """Whether a file of PyTorch names the networks of the zoo, or is as old as the zoo's own."""
    index = [name for name in members(path) if name.endswith("/data.pkl")]
    if index:
        return PICKLED_NAME in stored(path, index[0])
    with path.open("rb") as file:
        return file.read(len(OLD_FORMAT)) == OLD_FORMAT


def read_zoo(path: Path) -> Trained:
    """Read a file; raises UserError if it is none of PGAN's, or asks for more than weights."""
    content = _content(path)
    settings = content.get("config") if isinstance(content, dict) else None
    settings = settings if isinstance(settings, dict) else getattr(settings, "__dict__", {})
    try:
        weights = {ours: _plain(content[theirs]) for theirs, ours in ROLES.items()
                   if theirs in content}
        weights.setdefault("average", weights["generator"])
        trained = _translated(settings, weights)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{path} is no file of pytorch_GAN_zoo's PGAN, or it is damaged "
                        f"({type(error).__name__}). Those of its model_hub are known.") from error
    return require_whole(trained, str(path))


def _content(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([(Settings, SETTINGS)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if wish := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise UserError(f"{path} is refused. It asks for {wish[1]}, which weights never need: "
                            "loading it elsewhere could run somebody's program. Nothing of it was "
                            "run. Fetch the file from a place that you trust.") from None
        raise UserError(f"{path} is refused: it holds more than weights, or it is damaged. "
                        "Fetch the file from a place that you trust.") from error
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(f"{path} is damaged ({type(error).__name__}). Fetch it again.") from error


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the wrappers, by which some versions of the zoo call all layers and others none."""
    return {name.replace("module.", ""): tensor.detach().float()
            for name, tensor in weights.items()}


def _translated(settings: Mapping[str, Any], weights: Mapping[str, dict[str, Tensor]]) -> Trained:
    network = _network(settings, weights)
    level, alpha = network.max_level, 1 - float(settings.get("alpha", 0))
    if alpha == 0:  # the newest scale is there, but has no weight yet
        level, alpha = max(level - 1, MIN_LEVEL), 1.0
    if not 0 < alpha <= 1:
        raise ValueError(f"alpha {alpha}")
    blanks = shells(network)
    return Trained(
        network=network, level=level, alpha=alpha, images_seen=0,
        weights={role: _rescaled(blanks[role], role, own) for role, own in weights.items()},
        theirs={role: {f"{ours}.{part}": (f"{theirs}.{part}", tuple(own[f"{theirs}.{part}"].shape))
                       for ours, theirs in zoo_names(role, network.max_level).items()
                       for part in ("weight", "bias")}
                for role, own in weights.items()})


def _network(settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]) -> Network:
    """Our settings: sizes from the shapes, and from theirs what shapes do not tell."""
    generator, judge = weights["generator"], weights.get("discriminator", {})
    if settings.get("attribKeysOrder"):
        raise UserError("it draws images by attributes, of which there may be several at once; "
                        "here an image has one class.")
    if float(settings.get("leakyReluLeak", LEAK)) != LEAK:
        raise UserError(f"its activation has slope {settings['leakyReluLeak']}, and here it is "
                        f"{LEAK}.")
    depths = depths_of(generator)
    stddev = "groupScaleZero.0.weight" in judge and (
        judge["groupScaleZero.0.weight"].shape[1] == depths[0] + STDDEV_MAPS)
    return Network(
        resolution=1 << (MIN_LEVEL + len(depths) - 1),
        channels=int(generator["toRGBLayers.0.weight"].shape[0]),
        latent_size=int(generator["formatLayer.weight"].shape[1]),
        fmap_base=fmap_base_of(depths), fmap_max=depths[0],
        equalized_lr=bool(settings.get("equalizedlR", True)),
        output="tanh" if settings.get("lossCriterion") in TANH else "linear",
        stddev_group=STDDEV_GROUP if stddev or not judge else 0,
        fused_scaling=False, pixel_bias=True)


def _rescaled(shell: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
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


def _unbiased(shell: Generator | Discriminator, role: str, weights: Mapping[str, Tensor]
              ) -> dict[str, Tensor]:
    """The convolution of D after the minibatch stddev, which divides by N - 1 there and N here."""
    if role != "discriminator" or not shell.config.stddev_group:
        return {}
    name = "blocks.4x4.conv.weight"
    weight = weights[name].clone()
    weight[:, -STDDEV_MAPS:] *= math.sqrt(STDDEV_GROUP / (STDDEV_GROUP - 1))
    return {name: weight}
