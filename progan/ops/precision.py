"""Sums and scores keep float32 where convolutions are computed in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


def at_least_single(x: Tensor) -> Tensor:
    """Half precision -> float32; anything else stays what it is."""
    return x.float() if x.dtype in HALF else x


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Meanwhile operations keep the precision of what they are given."""
    known = torch.amp.is_autocast_available(device.type)  # not of tensors without data
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
