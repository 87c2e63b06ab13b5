"""In which precision the networks are computed; weights, losses and penalties are in float32."""

from contextlib import AbstractContextManager, nullcontext

import torch

from progan.config import Run


def lowered(run: Run, level: int, device: torch.device) -> AbstractContextManager[object]:
    """Meanwhile convolutions at a level are computed in bfloat16, if the run has it so."""
    if run.precision != "bf16" or 1 << level < run.bf16_from or device.type == "meta":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
