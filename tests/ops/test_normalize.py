"""Pixelwise normalisation (section 4.2)."""

from collections.abc import Callable

import numpy as np
import torch

from progan.ops import pixel_norm


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randn(*shape) * 7)


def test_the_formula_of_the_paper() -> None:
    a = noise(3, 6, 2, 4)
    expected = np.empty(a.shape)
    for n, y, x in np.ndindex(3, 2, 4):
        pixel = a[n, :, y, x].numpy()
        expected[n, :, y, x] = pixel / np.sqrt(np.sum(pixel**2) / 6 + 1e-8)
    np.testing.assert_allclose(pixel_norm(a), expected, rtol=1e-13)


def test_vectors_get_the_length_of_their_dimension() -> None:
    lengths = pixel_norm(noise(5, 9)).square().sum(dim=1)
    np.testing.assert_allclose(lengths, 9, rtol=1e-8)


def test_zero_stays_zero_with_a_finite_gradient() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    pixel_norm(x).sum().backward()
    assert (pixel_norm(x) == 0).all()
    np.testing.assert_allclose(x.grad, 1e4, rtol=1e-12)  # 1/sqrt(1e-8)


def test_it_is_twice_differentiable() -> None:
    x = noise(2, 3, 1, 2).requires_grad_()
    torch.manual_seed(0)  # of the gradients of the outputs
    for scale in (1.0, 1e-5):  # with 1e-5, epsilon counts

        def norm_scaled(x: torch.Tensor, scale: float = scale) -> torch.Tensor:
            return pixel_norm(x * scale)

        assert torch.autograd.gradcheck(norm_scaled, x)
        assert torch.autograd.gradgradcheck(norm_scaled, x)


def formula(x: torch.Tensor) -> torch.Tensor:
    """The formula alone, for autograd to differentiate."""
    return x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


def test_its_gradient_and_that_of_a_penalty_are_those_of_the_formula() -> None:
    """Layers after pixel norm and before it, as in a discriminator that normalises."""
    weight, other = noise(4, 3), noise(5, 4)

    def derive(norm: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
        matrix = weight.clone().requires_grad_()

        def score(images: torch.Tensor) -> torch.Tensor:
            return (norm(images @ matrix.T) @ other.T).tanh().sum()

        penalty = torch.func.grad(score)(x).square().sum()
        return [torch.func.grad(score)(x), *torch.autograd.grad(penalty + score(x), [matrix])]

    x = noise(6, 3)
    for ours, expected in zip(derive(pixel_norm, x), derive(formula, x), strict=True):
        np.testing.assert_allclose(ours.detach(), expected.detach(), rtol=1e-9, atol=1e-12)
