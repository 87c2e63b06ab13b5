"""The label loss of AC-GAN (Odena et al. 2017)."""

import torch.nn.functional as F
from torch import Tensor


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy per image: logits and one-hot labels [N, label_size] -> [N]."""
    return -(F.log_softmax(logits, dim=1) * labels).sum(dim=1)
