"""Nothing leaks at p < 0.8: what was augmented can be told from what was there before.

Appendix C of Karras et al. 2020: augmentation maps the distribution of images to that of augmented
images; the generator learns the right one if only one distribution of images is mapped there. For
moves along one axis (shifts, angles, logarithms of scales) the map multiplies the k-th Fourier
coefficient by E[exp(i pi k d)], with d the move in units of the farthest one. Uniform moves that
act with probability p give 1 - p + p sinc(k), and sinc is nowhere below -0.218: no coefficient is
lost while p < 1 / 1.218 = 0.82.
"""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from progan.augment import augment, draw_augment_noise
from progan.config import Augment
from tests.augment.numbers import drawn

Array = npt.NDArray[np.float64]
N = 1500
SIZE, RADIUS = 33, 5
FREQUENCIES = np.arange(0.25, 4, 0.25)


def spot(size: int, x: float, y: float) -> Tensor:
    places = torch.arange(size) - (size - 1) / 2
    return (-((places - x)[None] ** 2 + (places - y)[:, None] ** 2) / 4).exp()


def moves(kind: str, p: float) -> Array:
    """How far each of N images of a spot was moved, in units of the farthest move: [N]."""
    config = Augment(augment_kinds=kind)
    images = spot(SIZE, RADIUS, 0).expand(N, 1, SIZE, SIZE)
    found = augment(images, torch.tensor(p), drawn(config, N), config)[:, 0]
    weights = (found - 0.1).clamp(min=0)
    places = torch.arange(SIZE) - (SIZE - 1) / 2
    total = weights.sum(dim=(1, 2))
    x = ((weights.sum(dim=1) * places).sum(dim=1) / total).numpy()
    y = ((weights.sum(dim=2) * places).sum(dim=1) / total).numpy()
    measured: Array = {
        "translate": (x - RADIUS) / 4,
        "shift": (x - RADIUS) / (SIZE * 0.125),
        "rotate": np.arctan2(y, x) / (2 * math.pi * 0.125),
        "zoom": np.log(x / RADIUS) / np.log(1.25),
        "stretch": np.log(x / RADIUS) / np.log(1.25),
    }[kind]
    return measured


def coefficients(distances: Array) -> Array:
    """By how much the map multiplies the Fourier coefficients at FREQUENCIES."""
    factors: Array = np.exp(1j * math.pi * FREQUENCIES[:, None] * distances).mean(axis=1)
    return factors


@pytest.mark.parametrize("kind", ["translate", "zoom", "stretch", "rotate", "shift"])
def test_no_frequency_of_a_move_is_lost(kind: str) -> None:
    uniform = np.linspace(-1, 1, 9) if kind == "translate" else np.linspace(-1, 1, 20001)
    found = coefficients(moves(kind, 0.7))
    expected = 0.3 + 0.7 * coefficients(uniform)
    np.testing.assert_allclose(found, expected, rtol=0, atol=4 / np.sqrt(N) + 0.01)
    assert np.abs(found).min() > 0.08
    assert np.abs(coefficients(moves(kind, 1.0))).min() < 0.05  # without the probability, some are


def test_0_8_is_safe_for_all_uniform_moves() -> None:
    assert (0.2 + 0.8 * np.sinc(np.linspace(0, 100, 100001))).min() > 0.02


@pytest.mark.parametrize("p", [0.5, 0.7, 0.9])
def test_left_and_right_can_be_told(p: float) -> None:
    """The mixing matrix of an image and its flip has the eigenvalues 1 and 1 - p."""
    config = Augment(augment_kinds="flip")
    images = spot(5, 2, 0).expand(N, 1, 5, 5)
    found = augment(images, torch.tensor(p), drawn(config, N), config)
    flipped = (found != images).flatten(1).any(dim=1).double().mean().item()
    mixing = np.array([[1 - flipped, flipped], [flipped, 1 - flipped]])
    expected = pytest.approx([1 - p, 1], abs=8 * math.sqrt(p / 2 * (1 - p / 2) / N))
    assert np.linalg.eigvalsh(mixing).tolist() == expected


def learned_orientations(p: float, truth: Tensor, steps: int = 250, n: int = 32) -> Tensor:
    """Shares that a generator of four orientations learns from a discriminator; mean of the end.

    All that the discriminator sees is rotated by any angle with probability p. The generator is
    the softmax of four numbers, and its gradient is exact over them.
    """
    config = Augment(augment_kinds="rotate", augment_rotate=0.5)
    random = torch.Generator().manual_seed(0)
    pictures = torch.stack([torch.rot90(spot(8, 0, -2), k) for k in range(4)])[:, None] * 2 - 1
    numbers = torch.zeros(4, requires_grad=True)
    hidden = (torch.randn(64, 32, generator=random) / 8).requires_grad_()
    out = (torch.randn(32, generator=random) / 6).requires_grad_()
    optimizers = [
        torch.optim.Adam([hidden, out], 0.01, betas=(0.0, 0.9)),
        torch.optim.Adam([numbers], 0.05, betas=(0.0, 0.9)),
    ]
    history = []
    for _ in range(steps):
        reals = pictures[torch.multinomial(truth, n, replacement=True, generator=random)]
        fakes = pictures.repeat(n // 4, 1, 1, 1)
        weights = numbers.softmax(dim=0).repeat(n // 4) / (n // 4)
        seen = augment(
            torch.cat([reals, fakes]),
            torch.tensor(p),
            draw_augment_noise(config, 2 * n, random),
            config,
        )
        real, fake = (F.leaky_relu(seen.flatten(1) @ hidden, 0.2) @ out).split(n)
        d_loss = F.softplus(-real).mean() + (weights.detach() * F.softplus(fake)).sum()
        g_loss = (weights * F.softplus(-fake.detach())).sum()
        for optimizer in optimizers:
            optimizer.zero_grad()
        (d_loss + g_loss).backward()
        for optimizer in optimizers:
            optimizer.step()
        history.append(numbers.detach().softmax(dim=0))
    return torch.stack(history[steps // 2 :]).mean(dim=0)


@pytest.mark.slow
def test_a_generator_learns_the_true_orientations_and_without_limit_does_not() -> None:
    truth = torch.tensor([0.7, 0.1, 0.1, 0.1])
    assert (learned_orientations(0.7, truth) - truth).abs().max() < 0.15
    assert (learned_orientations(1.0, truth) - truth).abs().max() > 0.3
