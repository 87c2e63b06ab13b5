"""The random numbers of a critic step."""

import torch
from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances
from progan.objectives.table import OBJECTIVES


def draw(config: Objective, shape: torch.Size, stream: torch.Generator) -> Chances:
    """Draw the random numbers of a critic step for images of a shape [N, C, H, W]."""
    n, device, method = shape[0], stream.device, OBJECTIVES[config.objective]

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=stream, device=device)

    return Chances(
        mix=uniform(n, 1, 1, 1),
        pixels=uniform(*shape) if method.pixels else None,
        targets=uniform(2, n).T if method.targets and config.label_noise else None)
