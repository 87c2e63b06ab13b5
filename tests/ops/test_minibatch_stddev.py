"""Minibatch standard deviation (section 3)."""

import numpy as np
import pytest
import torch

from progan.ops import append_minibatch_stddev, find_largest_divisor


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randn(*shape))


@pytest.mark.parametrize(
    ("n", "group_size", "groups"),
    [
        (4, 4, [[0, 1, 2, 3]]),
        (8, 4, [[0, 2, 4, 6], [1, 3, 5, 7]]),
        (6, 2, [[0, 3], [1, 4], [2, 5]]),
        (3, 4, [[0, 1, 2]]),
        (6, 4, [[0, 2, 4], [1, 3, 5]]),  # not divisible: the largest groups that do divide
        (5, 4, [[0], [1], [2], [3], [4]]),
        (1, 4, [[0]]),
    ],
)
def test_members_of_a_group_share_the_mean_of_their_deviations(
    n: int, group_size: int, groups: list[list[int]]
) -> None:
    x = noise(n, 3, 2, 2)
    out = append_minibatch_stddev(x, group_size)
    assert out.shape == (n, 4, 2, 2)
    np.testing.assert_array_equal(out[:, :3], x)
    for members in groups:
        group = x[members].numpy()
        variance = ((group - group.mean(axis=0)) ** 2).mean(axis=0)
        expected = np.sqrt(variance + 1e-8).mean()
        np.testing.assert_allclose(
            out[members, 3], np.full((len(members), 2, 2), expected), rtol=1e-12
        )


def test_equal_images_have_no_spread_but_a_finite_gradient() -> None:
    x = torch.ones(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    spread = append_minibatch_stddev(x, 4)[:, -1]
    np.testing.assert_allclose(spread.detach(), 1e-4, rtol=1e-12)  # sqrt(1e-8)
    spread.sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("group_size", [2, 3, 4])
def test_it_is_twice_differentiable(group_size: int) -> None:
    x = noise(4, 1, 2, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: append_minibatch_stddev(x, group_size), x)
    assert torch.autograd.gradgradcheck(lambda x: append_minibatch_stddev(x, group_size), x)


def test_divisors() -> None:
    for n in range(1, 40):
        for limit in range(1, 40):
            size = find_largest_divisor(n, limit)
            assert n % size == 0 and size <= limit
            assert all(n % larger for larger in range(size + 1, min(n, limit) + 1))
