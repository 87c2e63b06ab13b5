"""Arguments of the official `G_paper` and `D_paper` <-> our settings of networks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from progan.config import Network
from progan.errors import UserError
from progan.settings import changes

Arguments = Mapping[str, Any]

# Argument there: (our setting, official default).
SHARED: dict[str, tuple[str, Any]] = {
    "resolution": ("resolution", 32), "num_channels": ("channels", 1),
    "label_size": ("label_size", 0), "fmap_base": ("fmap_base", 8192),
    "fmap_decay": ("fmap_decay", 1.0), "fmap_max": ("fmap_max", 512),
    "use_wscale": ("equalized_lr", True), "fused_scale": ("fused_scaling", True)}
NORMS = {True: "pixel", False: "none"}  # use_pixelnorm
ACTIVATIONS = {True: "leaky-relu", False: "relu"}  # use_leakyrelu
STDDEV_GROUP = 4
EPSILON = 1e-8  # of the pixel norm

APART = {"fused_scaling", "fmap_base"}  # settings that G and D may have each for itself
# What a network that only draws pictures does not need to be equal to the official one.
OF_TRAINING = ("weight_stddev", "dropout", "kernel", "output_kernel", "code_size", "energy")
OF_THE_DISCRIMINATOR = ("d_fmap_base", "d_norm", "d_activation", "stddev_group",
                        "minibatch_kernels")


def settings_of(generator: Arguments, discriminator: Arguments | None = None) -> Network:
    """Our settings; raises UserError for what we do not have, ValueError for what makes no sense.

    Arguments that the official networks do not know they ignore, and so does this.
    """
    if float(generator.get("pixelnorm_epsilon", EPSILON)) != EPSILON:
        raise UserError(f"pixelnorm_epsilon {generator['pixelnorm_epsilon']} is not {EPSILON}.")
    ours = _shared(generator)
    latent_size = generator.get("latent_size")
    network = Network(
        **ours, latent_size=int(latent_size or min(ours["fmap_base"], ours["fmap_max"])),
        normalize_latents=bool(generator.get("normalize_latents", True)),
        g_norm=NORMS[bool(generator.get("use_pixelnorm", True))],
        g_activation=ACTIVATIONS[bool(generator.get("use_leakyrelu", True))])
    return network if discriminator is None else _with(network, discriminator)


def arguments_of(network: Network) -> dict[str, dict[str, Any]]:
    """The arguments of the official generator and discriminator; raises UserError if none fit."""
    shared = {there: getattr(network, here) for there, (here, _) in SHARED.items()}
    found = {
        "generator": shared | {
            "latent_size": network.latent_size, "normalize_latents": network.normalize_latents,
            "use_pixelnorm": network.g_norm == "pixel",
            "use_leakyrelu": network.g_activation == "leaky-relu"},
        "discriminator": shared | {
            "fmap_base": network.discriminator_width.fmap_base,
            "mbstd_group_size": network.stddev_group}}
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
    if different := changes(same, network):
        raise UserError(f"{where} has no counterpart among the official networks, which differ in "
                        f"{'; '.join(different)}. Keep it as it is.")


def _shared(arguments: Arguments) -> dict[str, Any]:
    return {here: type(default)(arguments.get(there, default))
            for there, (here, default) in SHARED.items()}


def _with(network: Network, discriminator: Arguments) -> Network:
    """The settings of the generator with those of the discriminator beside it."""
    ours = _shared(discriminator)
    for name, value in ours.items():
        if name not in APART and value != getattr(network, name):
            raise UserError(f"its G has {name} {getattr(network, name)} and its D {value}, which "
                            "are equal here.")
    width = ours["fmap_base"]
    group = int(discriminator.get("mbstd_group_size", STDDEV_GROUP))
    return replace(network, fused_scaling=ours["fused_scaling"],
                   d_fmap_base=0 if width == network.fmap_base else width,
                   stddev_group=group if group > 1 else 0)
