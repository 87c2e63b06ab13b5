"""The label loss of AC-GAN."""

import math

import numpy as np
import torch

from progan.losses.adversarial import label_loss


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [math.log(3), 0.0, 0.0, 0.0]])
    labels = torch.tensor([[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    expected = [math.log(4), math.log(2)]  # 1/4, and 3/(3 + 1 + 1 + 1)
    np.testing.assert_allclose(label_loss(logits, labels), expected, rtol=1e-6)


def test_cross_entropy_in_numpy() -> None:
    random = np.random.RandomState(0)
    logits, classes = random.randn(6, 5) * 3, random.randint(0, 5, 6)
    odds = np.exp(logits)
    expected = -np.log(odds[np.arange(6), classes] / odds.sum(axis=1))
    found = label_loss(torch.from_numpy(logits), torch.from_numpy(np.eye(5)[classes]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_hopeless_logits_stay_finite() -> None:
    logits = torch.tensor([[-1000.0, 1000.0]], requires_grad=True)
    loss = label_loss(logits, torch.tensor([[1.0, 0.0]]))
    loss.sum().backward()
    assert loss.item() == 2000
    assert logits.grad.tolist() == [[-1.0, 1.0]]
