"""The relativistic loss of pairs (Jolicoeur-Martineau 2018; R3GAN, Huang et al. 2024)."""

import torch.nn.functional as F
from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement


def relativistic_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                        dials: Dials) -> CriticLosses:
    """-log sigmoid(D(x) - D(G(z))), [N]: half of it for the real, half for the fake of a pair."""
    half = F.softplus(fake.scores - real.scores) / 2
    return CriticLosses(half, half)


def relativistic_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """-log sigmoid(D(G(z)) - D(x)), [N]."""
    assert real is not None
    return F.softplus(real.scores - fake.scores)
