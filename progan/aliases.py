"""Names that options have in other projects (StyleGAN, PyTorch-GAN, DCGAN's tutorial).

Where the meaning is the same, the name is an alias, which help does not list. Where it is
another one, the option fails with the difference.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

# fmt: off
TRAIN_ALIASES = {
    "kimg": "total-kimg", "cfg": "preset", "out": "outdir",
    "batch-size": "batch", "tick": "tick-kimg", "snap": "snapshot-ticks",
    "glr": "g-lr", "lr-g": "g-lr", "dlr": "d-lr", "lr-d": "d-lr", "b1": "beta1", "b2": "beta2",
    "gamma": "gp-weight", "lambda-gp": "gp-weight", "n-critic": "d-repeats",
    "clip-value": "clip-weights", "cmax": "fmap-max", "mbstd-group": "stddev-group",
    "latent-dim": "latent-size", "z-dim": "latent-size", "nz": "latent-size",
    "image-size": "resolution", "img-size": "resolution", "imsize": "resolution",
    "cond": "conditional", "p": "augment-p", "ngpu": "gpus", "num-gpus": "gpus",
}
TRAIN_DIFFERENCES = {
    "aug": "--augment takes none (noaug), fixed or adaptive (ada).",
    "target": "--augment-accuracy is an accuracy of the discriminator, and --target is r_t = "
        "2 x accuracy - 1: for --target 0.6, pass --augment-accuracy 0.8.",
    "cbase": "--fmap-base is half of it: for --cbase 32768, pass --fmap-base 16384.",
    "freezed": "--freeze-d counts resolutions, --freezed layers, of which most resolutions have "
        "two or three.",
    **dict.fromkeys(("epochs", "n-epochs"), "Lengths are in thousands of images: for E epochs of N "
        "images, pass --total-kimg E*N/1000."),
    "dataroot": "--data takes a dataset; dataset_tool.py create-from-images makes one of a folder "
        "of images.",
    **dict.fromkeys(("workers", "num-workers"),
        "There is nothing to set: images are read ahead by a thread."),
    "fp32": "--precision takes fp32, which is the default of most presets, tf32, bf16 or fp16.",
    "map-depth": "Networks of progressive growing have no mapping network.",
}
GENERATE_ALIASES = {
    "seed": "seeds", "ckpt": "network", "checkpoint": "network", "out": "outdir",
    "truncation": "trunc", "truncation-psi": "trunc", "psi": "trunc",
    "output": "outdir",
}
GENERATE_DIFFERENCES = {
    "noise-mode": "Generators of progressive growing have no noise inputs.",
    "projected-w": "Networks of progressive growing have no w: --latents takes a file of latents, "
        "which python -m progan.projection finds for an image.",
    "n-samples": "Images are named by their seeds: for N samples, pass --seeds 0-(N-1).",
}
# fmt: on


def explain_differences(differences: Mapping[str, str]) -> Callable[[F], F]:
    """Add hidden options to a command that fail with an explanation, {option: explanation}."""

    def add(command: F) -> F:
        for name, text in differences.items():
            command = click.option(
                f"--{name}", is_flag=False, flag_value="", default=None, hidden=True,
                expose_value=False, callback=_make_failing_callback(name, text),
            )(command)  # fmt: skip
        return command

    return add


def _make_failing_callback(name: str, text: str) -> Callable[..., None]:
    def fail_if_given(context: click.Context, _: click.Parameter, value: str | None) -> None:
        if value is not None and not context.resilient_parsing:
            raise click.UsageError(f"No such option: --{name}. {text}", context)

    return fail_if_given
