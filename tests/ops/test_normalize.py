"""Pixelwise normalisation (section 4.2)."""

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
    assert torch.autograd.gradcheck(pixel_norm, x)
    assert torch.autograd.gradgradcheck(pixel_norm, x)
