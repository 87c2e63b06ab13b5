"""WGAN-GP with drift (section 4 and appendix A.1 of the paper)."""

from collections.abc import Callable

from torch import Tensor

from progan.config import Objective
from progan.objectives.labels import label_loss
from progan.objectives.penalties import gradient_norms, gradient_penalty

Critic = Callable[[Tensor], tuple[Tensor, Tensor]]
Loss = tuple[Tensor, dict[str, Tensor]]


def wgan_gp_critic(critic: Critic, config: Objective, *, reals: Tensor, fakes: Tensor,
                   labels: Tensor, mix: Tensor) -> Loss:
    """Loss of the critic and, for the curves, what it is made of.

    Args:
        critic: Images [N, C, H, W] -> scores [N] and label logits [N, label_size].
        labels: One-hot [N, label_size], of reals and fakes alike; label_size may be 0.
        mix: [N, 1, 1, 1] in [0, 1): where between real and fake the gradient is taken.
    """
    real_scores, real_logits = critic(reals)
    fake_scores, fake_logits = critic(fakes)
    norms = gradient_norms(lambda x: critic(x)[0], reals + (fakes - reals) * mix)
    penalty = gradient_penalty(norms, config.gp_weight, config.gp_target)
    drift = real_scores.square() * config.drift
    loss = fake_scores - real_scores + penalty + drift  # [N]
    parts = {"scores/real": real_scores, "scores/fake": fake_scores, "gradient/norm": norms,
             "loss/penalty": penalty, "loss/drift": drift}
    if labels.shape[1]:
        label = label_loss(real_logits, labels) + label_loss(fake_logits, labels)
        loss = loss + label * config.label_weight
        parts["loss/label-critic"] = label
    return loss.mean(), {name: part.detach().mean() for name, part in parts.items()}


def wgan_gp_generator(critic: Critic, config: Objective, *, fakes: Tensor,
                      labels: Tensor) -> Loss:
    """Loss of the generator: its images should score high (and be classified as `labels`)."""
    scores, logits = critic(fakes)
    loss = -scores
    parts = {}
    if labels.shape[1]:
        label = label_loss(logits, labels)
        loss = loss + label * config.label_weight
        parts["loss/label-generator"] = label
    return loss.mean(), {name: part.detach().mean() for name, part in parts.items()}
