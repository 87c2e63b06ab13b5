"""In which precision the networks are computed; weights, losses and penalties are in float32."""

from contextlib import AbstractContextManager, nullcontext

import torch

from progan.config import Run
from progan.errors import UserError

LOW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def is_lowered(run: Run, level: int, device: torch.device) -> bool:
    """Whether convolutions at a level are computed in half precision."""
    return (run.precision in LOW and 1 << level >= run.low_precision_from
            and device.type != "meta")  # which computes nothing


def lowered(run: Run, level: int, device: torch.device) -> AbstractContextManager[object]:
    """Meanwhile convolutions at a level are computed in half precision, if the run has it so."""
    if not is_lowered(run, level, device):
        return nullcontext()
    return torch.autocast(device.type, LOW[run.precision])


def precision_note(run: Run, device: torch.device) -> str:
    """Say in one line where the precision of a run is of no use on a device; '' otherwise."""
    if run.precision == "fp16" and device.type == "cpu":
        return ("--precision fp16 on a CPU gives the results of fp16, many times slower than fp32: "
                "it is meant for CUDA. Choose --precision fp32 here.")
    if run.precision == "tf32" and device.type != "cuda":
        return (f"--precision tf32 has no effect on {device.type}, which has no TF32: it trains in "
                "fp32.")
    return ""


def require_precision(run: Run, device: torch.device) -> None:
    """Raise UserError where a device cannot train in the precision of a run."""
    if run.precision == "fp16" and device.type == "mps":  # its Adam takes no notice of found_inf
        raise UserError("--precision fp16 leaves out steps whose gradients overflow, which torch "
                        "cannot do on mps. Choose --precision bf16 or fp32, or another --device.")
