"""The non-saturating loss (Goodfellow et al. 2014, section 3), with moved targets on request."""

import torch.nn.functional as F
from torch import Tensor

from progan.config import Objective
from progan.objectives.scores import Chances, CriticLosses, Dials, Judgement


def non_saturating_critic(config: Objective, real: Judgement, fake: Judgement, chances: Chances,
                          dials: Dials) -> CriticLosses:
    """-log D(x) and -log(1 - D(G(z))), D being the sigmoid of a score: [N].

    Reals have the target 1 - label_smoothing, fakes 0. With label noise u, uniform in
    [0, label_noise) for each image, reals have u less, and fakes -u: away from right, as in the
    DCGAN of the book by Chollet, whose targets run the other way.
    """
    real_loss, fake_loss = F.softplus(-real.scores), F.softplus(fake.scores)
    # A target t costs softplus(s) - t s, which differs from t = 1 or 0 by a product only.
    if config.label_smoothing:
        real_loss = real_loss + config.label_smoothing * real.scores
    if chances.targets is not None:
        moved = config.label_noise * chances.targets
        real_loss = real_loss + moved[:, 0] * real.scores
        fake_loss = fake_loss + moved[:, 1] * fake.scores
    return CriticLosses(real_loss, fake_loss)


def non_saturating_generator(config: Objective, fake: Judgement, real: Judgement | None) -> Tensor:
    """-log D(G(z)), [N]."""
    return F.softplus(-fake.scores)
