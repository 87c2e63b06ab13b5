"""Networks of pytorch_GAN_zoo's PGAN -> ours: settings, names, and constants of the layers."""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from progan.config import Network
from progan.errors import UserError
from progan.interop.trained import Trained
from progan.interop.zoo_names import depths_of, fmap_base_of, zoo_names
from progan.networks import Discriminator, Generator
from progan.networks.layers import Equalized
from progan.networks.shells import shells
from progan.sizes import MIN_LEVEL

TANH = {"MSE", "DCGAN"}  # losses whose generators end with it
LEAK = 0.2
STDDEV_GROUP = 4
STDDEV_MAPS = 1


def from_zoo(settings: Mapping[str, Any], weights: Mapping[str, Mapping[str, Tensor]]) -> Trained:
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
