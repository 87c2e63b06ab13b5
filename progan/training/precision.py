"""Precision of the networks, and loss scaling; weights, losses and penalties are in float32.

Loss scaling (--precision fp16) keeps gradients in the range of float16. The scale grows a little
with each step; a step whose gradients are not all finite halves it and is skipped (official code:
tfutil.Optimizer). Each network has its own scale, a controller that holds its log2. Where
convolutions are in float32 nothing is scaled.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from progan.config import Run
from progan.errors import UserError

HALF_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CONVOLUTIONS = (torch.conv2d, torch.conv_transpose2d)
# Controllers: log2 of the scales. The names are those in files.
D_LOSS_SCALE, G_LOSS_SCALE = "loss-scale/critic", "loss-scale/generator"
# The official code starts at 2^64, which overflows float16 and is halved in about 48 skipped steps;
# from 2^16 the paper's networks skip a few.
INITIAL_LOG2_SCALE = 16.0
GROWTH, SHRINKAGE = 0.0005, 1.0  # log2 steps; loss_scaling_inc and _dec of the official code
# At this scale gradients below the guard's limit (--largest 1e6, divided by He's constant of a wide
# layer) do not overflow: non-finite values then have other causes.
MIN_SCALE = 2.0**-10
GRADIENT_STATISTICS = ("gradient/", "loss/penalty")  # they overflow with their scale
LOSS_WITH_PENALTY = "loss/critic"


def uses_half_precision(run: Run, level: int) -> bool:
    """True if convolutions at a level (and `DenseToMaps`) are computed in half precision."""
    return run.precision in HALF_DTYPES and 1 << level >= run.low_precision_from


def autocast_for(run: Run, level: int, device: torch.device) -> AbstractContextManager[object]:
    """Compute in half precision inside the context, if the run does at this level.

    It applies to convolutions and `DenseToMaps`; other layers leave it by `disable_autocast`.
    """
    if not uses_half_precision(run, level):
        return nullcontext()
    if device.type == "meta":
        return MetaAutocast(HALF_DTYPES[run.precision])
    return torch.autocast(device.type, HALF_DTYPES[run.precision])


class MetaAutocast(TorchFunctionMode):
    """Autocast of convolutions on the meta device, which torch.autocast does not support.

    It leaves out `DenseToMaps`, which takes little of the memory that is estimated there.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CONVOLUTIONS:
            args, kwargs = tree_map_only(Tensor, lambda x: x.to(self._dtype), (args, kwargs))
        return func(*args, **kwargs)


def format_precision_note(run: Run, device: torch.device) -> str:
    """Return a line if the precision of a run has no benefit on a device, else ''."""
    if run.precision == "fp16" and device.type == "cpu":
        return (
            "--precision fp16 on a CPU gives the results of fp16, many times slower than fp32: "
            "it is meant for CUDA. Choose --precision fp32 here."
        )
    if run.precision == "tf32" and device.type != "cuda":
        return (
            f"--precision tf32 has no effect on {device.type}, which has no TF32: it trains in "
            "fp32."
        )
    return ""


def require_precision(run: Run, device: torch.device) -> None:
    """Raise UserError if a device cannot train in the precision of a run."""
    if run.precision == "fp16" and device.type == "mps":  # its Adam ignores found_inf
        raise UserError(
            "--precision fp16 skips steps whose gradients overflow, which torch "
            "cannot do on mps. Choose --precision bf16 or fp32, or another --device."
        )


def initial_loss_scales(run: Run) -> dict[str, float]:
    """Return the initial values of the controllers of loss scaling."""
    scaled = (D_LOSS_SCALE, G_LOSS_SCALE) if run.precision == "fp16" else ()
    return dict.fromkeys(scaled, INITIAL_LOG2_SCALE)


def get_loss_scale(
    controllers: Mapping[str, Tensor], name: str, run: Run, level: int
) -> Tensor | None:
    """Return the loss scale of a network at a level, 0-d; None: not scaled."""
    if name not in controllers or not uses_half_precision(run, level):
        return None
    if controllers[name].is_meta:  # optimizers of states without data cannot skip a step
        return None
    return controllers[name].exp2()


def update_loss_scale(controller: Tensor, norm: Tensor) -> None:
    """Update the log2 of a scale, 0-d, in place, after a step with this norm of gradients."""
    controller.add_(torch.where(norm.isfinite(), GROWTH, -SHRINKAGE))


def mask_overflow(statistics: Mapping[str, Tensor], scale: Tensor | None) -> dict[str, Tensor]:
    """Replace statistics that overflowed by the loss scale with 0.

    A skipped step is not a divergence. Only statistics of gradients are masked (with the loss that
    contains their penalty), and only while the scale can still fall: scores and other losses,
    which are not scaled, show divergence at once.
    """
    if scale is None:
        return dict(statistics)
    return {
        name: torch.where(value.isfinite() | (scale < MIN_SCALE), value, 0)
        if name.startswith(GRADIENT_STATISTICS) or name == LOSS_WITH_PENALTY
        else value
        for name, value in statistics.items()
    }
