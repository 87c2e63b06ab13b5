"""What a measurement depends on besides its images."""

from dataclasses import dataclass

import torch

from metrics.detector import Detector


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """The same setup measures the same.

    Attributes:
        seed: All chance derives from it.
        device: Where to compute.
        detector: What features come from; None where no metric needs any.
    """

    seed: int
    device: torch.device
    detector: Detector | None = None
