"""How the probability of augmentation follows the discriminator: pure control, no state.

A discriminator that overfits tells the training images from all others, so that its accuracy on
them rises; more augmentation makes its task harder (Karras et al. 2020, section 3).
"""

from torch import Tensor

from progan.config import Augment


def accuracy(real_scores: Tensor, boundary: Tensor | float = 0.0) -> Tensor:
    """Share of real images that the discriminator takes for real: scores [N] -> 0-d in [0, 1].

    E[(1 + sign(score - boundary)) / 2], a tie counting half. The mean sign, r_t of section 3, is
    2 x accuracy - 1. With several processes, the mean of their accuracies is that of the whole.

    Args:
        boundary: Score from which on an image counts as real: 0 for logits. Critics whose zero
            means nothing (Wasserstein) want the middle between the mean scores of reals and fakes.
    """
    return ((real_scores - boundary).sign() / 2 + 0.5).mean()


def adapted(p: Tensor, real_accuracy: Tensor, config: Augment) -> Tensor:
    """The next probability, a step later: 0-d in [0, 1].

    With error = real_accuracy - augment_accuracy:
        proportional: p + error / augment_steps (A. Béres' Keras example, "Data-efficient GANs
            with Adaptive Discriminator Augmentation")
        constant: p + sign(error) / augment_steps (section 3)
    """
    error = real_accuracy - config.augment_accuracy
    if config.augment_control == "constant":
        error = error.sign()
    return (p + error / config.augment_steps).clamp(0, 1)
