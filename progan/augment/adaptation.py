"""How the probability of augmentation follows the discriminator: pure control, no state.

A discriminator that overfits tells the training images from all others, so that its accuracy on
them rises; more augmentation makes its task harder (Karras et al. 2020, section 3).
"""

from torch import Tensor

from progan.config import Augment


def adapted(p: Tensor, real_accuracy: Tensor, config: Augment) -> Tensor:
    """The next probability, a step later: 0-d in [0, 1].

    The mean sign of real scores, r_t of section 3, is 2 x accuracy - 1. With
    error = real_accuracy - augment_accuracy:
        proportional: p + error / augment_steps (A. Béres' Keras example, "Data-efficient GANs
            with Adaptive Discriminator Augmentation")
        constant: p + sign(error) / augment_steps (section 3)
    """
    error = real_accuracy - config.augment_accuracy
    if config.augment_control == "constant":
        error = error.sign()
    return (p + error / config.augment_steps).clamp(0, 1)
