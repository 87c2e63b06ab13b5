"""What losses and accuracies mean, objective by objective."""

import math
from typing import NamedTuple

from progan.config import Objective

LN2 = math.log(2)


class Scale(NamedTuple):
    """How the critic's numbers are to be read.

    Attributes:
        chance: Its loss of either side where it cannot tell real from fake; None: its losses
            have no such mark.
        accuracy: Whether accuracies say who is winning. A critic of Wasserstein's distance
            should be as good as it can, and BEGAN gives fakes the lower energy by design.
    """

    chance: float | None
    accuracy: bool


SCALES: dict[str, Scale] = {
    "wgan-gp":      Scale(None,    accuracy=False),
    "wgan":         Scale(None,    accuracy=False),
    "gan":          Scale(LN2,     accuracy=True),
    "lsgan":        Scale(1 / 8,   accuracy=True),   # ½·½² with D = ½
    "dragan":       Scale(LN2,     accuracy=True),
    "ebgan":        Scale(None,    accuracy=True),
    "began":        Scale(None,    accuracy=False),
    "r1":           Scale(LN2,     accuracy=True),
    "relativistic": Scale(LN2 / 2, accuracy=True),   # real and fake of a pair share the loss
}
SOFT_TARGETS = ("gan", "dragan", "r1")  # whose targets label smoothing and noise move


def won(config: Objective, part: float) -> tuple[float, float] | None:
    """The losses of reals and of fakes of which only `part` is left above the least possible.

    Soft targets keep a loss away from 0: the least is the entropy of the target.
    """
    chance = SCALES[config.objective].chance
    if chance is None:
        return None
    noise = config.label_noise / 2 if config.objective in SOFT_TARGETS else 0.0
    smoothing = config.label_smoothing if config.objective in SOFT_TARGETS else 0.0
    floors = [_entropy(min(softness, 0.5)) for softness in (smoothing + noise, noise)]
    real, fake = (floor + part * max(chance - floor, 0.0) for floor in floors)
    return real, fake


def _entropy(p: float) -> float:
    return -p * math.log(p) - (1 - p) * math.log(1 - p) if p else 0.0
