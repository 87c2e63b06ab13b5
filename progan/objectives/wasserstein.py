"""The Wasserstein loss (Arjovsky et al. 2017) with drift (appendix A.1 of the paper)."""

from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement


def wasserstein_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                       dials: Dials) -> CriticLosses:
    """-D(x) + drift * D(x)^2 and D(G(z)), [N]."""
    drift = real.scores.square() * config.drift
    return CriticLosses(drift - real.scores, fake.scores, {"loss/drift": drift})


def wasserstein_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """-D(G(z)), [N]."""
    return -fake.scores
