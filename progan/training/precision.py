"""Precision of the networks; weights, losses and penalties are in float32."""

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


def uses_half_precision(run: Run, level: int) -> bool:
    """True if convolutions at a level are computed in half precision."""
    return run.precision in HALF_DTYPES and 1 << level >= run.low_precision_from


def autocast_for(run: Run, level: int, device: torch.device) -> AbstractContextManager[object]:
    """Compute convolutions in half precision inside the context, if the run does at this level."""
    if not uses_half_precision(run, level):
        return nullcontext()
    if device.type == "meta":
        return MetaAutocast(HALF_DTYPES[run.precision])
    return torch.autocast(device.type, HALF_DTYPES[run.precision])


class MetaAutocast(TorchFunctionMode):
    """Autocast of convolutions on the meta device, which torch.autocast does not support."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self._dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in CONVOLUTIONS:
            args, kwargs = tree_map_only(Tensor, lambda x: x.to(self._dtype), (args, kwargs))
        return func(*args, **kwargs)


def precision_note(run: Run, device: torch.device) -> str:
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
