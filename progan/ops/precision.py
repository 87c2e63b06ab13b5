"""Sums and scores keep float32 where convolutions are computed in half precision."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

HALF = (torch.bfloat16, torch.float16)


def at_least_single(x: Tensor) -> Tensor:
    """Half precision -> float32; anything else stays what it is."""
    return x.float() if x.dtype in HALF else x


def autocasts(device: torch.device) -> bool:
    """Whether operations are computed in half precision now."""
    return _known(device) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Meanwhile operations keep the precision of what they are given."""
    return torch.autocast(device.type, enabled=False) if _known(device) else nullcontext()


def _known(device: torch.device) -> bool:
    return torch.amp.is_autocast_available(device.type)  # not for tensors without data
