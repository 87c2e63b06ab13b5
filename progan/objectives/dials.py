"""Numbers that objectives move themselves while they train."""

from torch import Tensor

from progan.config import Objective
from progan.objectives.energy import balanced
from progan.objectives.least_squares import confidence
from progan.objectives.scores import Dials


def initial(config: Objective) -> dict[str, float]:
    """The dials that an objective has, as they are at the start."""
    dials = {}
    if config.objective == "began":
        dials["balance"] = 0.0  # k
    if config.adaptive_noise:
        dials["confidence"] = 0.0  # d^ of appendix B
    return dials


def turned(config: Objective, dials: Dials, real_score: Tensor, fake_score: Tensor
           ) -> dict[str, Tensor]:
    """The dials after a critic step with these mean scores, 0-d."""
    moved = dict(dials)
    if "balance" in dials:
        moved["balance"] = balanced(dials["balance"], config, -real_score, -fake_score)
    if "confidence" in dials:
        moved["confidence"] = confidence(dials["confidence"], fake_score)
    return moved
