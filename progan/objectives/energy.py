"""Losses of critics that give energies: EBGAN (Zhao et al. 2016), BEGAN (Berthelot et al. 2017).

A score is minus the energy of an image, so that reals score high here as everywhere.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement


def ebgan_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                 dials: Dials) -> CriticLosses:
    """E(x) and max(0, margin - E(G(z))), [N] (equation 1)."""
    return CriticLosses(-real.scores, F.relu(config.margin + fake.scores))


def ebgan_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """E(G(z)) + pulling_away * f_PT (equations 2 and 4), [N]."""
    assert fake.code is not None
    return -fake.scores + config.pulling_away * pulling_away(fake.code)


def pulling_away(code: Tensor) -> Tensor:
    """Mean squared cosine between the codes [N, K] of different images, 0-d (equation 4)."""
    n = len(code)
    directions = F.normalize(code, dim=1)
    cosines = directions @ directions.T
    others = cosines.square() * (1 - torch.eye(n, dtype=code.dtype, device=code.device))
    return others.sum() / max(n * (n - 1), 1)


def began_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                 dials: Dials) -> CriticLosses:
    """E(x) and -k E(G(z)), [N] (section 3.4)."""
    return CriticLosses(-real.scores, dials["balance"] * fake.scores)


def began_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """E(G(z)), [N]."""
    return -fake.scores


def balanced(k: Tensor, config: Objective, real_energy: Tensor, fake_energy: Tensor) -> Tensor:
    """k + lambda (gamma E(x) - E(G(z))), within [0, 1] (section 3.4)."""
    error = config.diversity * real_energy - fake_energy
    return (k + config.balance_rate * error).clamp(0, 1)


def convergence(config: Objective, real_energy: Tensor, fake_energy: Tensor) -> Tensor:
    """M = E(x) + |gamma E(x) - E(G(z))|, lower is better (section 3.4.1)."""
    return real_energy + (config.diversity * real_energy - fake_energy).abs()
