"""Convolutions of even batches in bfloat16 on CPUs, and second derivatives through them."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from progan.losses.penalties import squared_gradient_norms
from progan.ops import OddBatches


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


@pytest.mark.parametrize("n", (2, 8, 14))
def test_an_image_of_zeros_changes_no_other(n: int) -> None:
    x, weight, bias = normal(n, 3, 8, 8), normal(16, 3, 3, 3), normal(16)
    with bfloat16(), OddBatches():
        found = F.conv2d(x, weight, bias, padding=1)
    expected = F.conv2d(x, weight, bias, padding=1)
    assert found.shape == (n, 16, 8, 8) and found.dtype == torch.bfloat16
    assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.parametrize(
    ("n", "stride", "half", "convolved"),
    ((8, 1, True, 9), (14, 1, True, 15), (7, 1, True, 7), (16, 1, True, 16), (8, 2, True, 8),
     (8, 1, False, 8)),
)  # fmt: skip
def test_only_what_torch_gets_wrong_is_padded(
    n: int, stride: int, half: bool, convolved: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, conv2d = [], torch.conv2d

    def record(x: Tensor, *args: object, **kwargs: object) -> Tensor:
        seen.append(len(x))
        result: Tensor = conv2d(x, *args, **kwargs)  # type: ignore[arg-type, call-overload]
        return result

    monkeypatch.setattr(torch, "conv2d", record)
    with bfloat16() if half else nullcontext(), OddBatches() as mode:
        mode.__torch_function__(
            record, (), (normal(n, 3, 8, 8), normal(4, 3, 3, 3)), {"stride": stride}
        )
    assert seen == [convolved]


@pytest.mark.parametrize("size", (8, 16))
@pytest.mark.parametrize("n", (2, 4, 6, 8, 10, 12, 14, 15, 16))
def test_gradients_of_penalties_in_bfloat16_are_those_of_float64(n: int, size: int) -> None:
    images, weights = normal(n, 3, size, size), (normal(16, 3, 3, 3), normal(16, 16, 3, 3) / 9)

    def gradients(dtype: torch.dtype, half: bool) -> list[Tensor]:
        first, second = (weight.to(dtype).requires_grad_() for weight in weights)

        def score(x: Tensor) -> Tensor:
            with bfloat16() if half else nullcontext():
                x = F.leaky_relu(F.conv2d(x, first, padding=1), 0.2)
                x = F.leaky_relu(F.conv2d(x, second, padding=1), 0.2)
            return x.to(dtype).square().mean(dim=(1, 2, 3))

        penalty = squared_gradient_norms(score, images.to(dtype)).mean()
        return list(torch.autograd.grad(penalty, (first, second)))

    expected, found = gradients(torch.float64, False), gradients(torch.float32, True)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).norm() < 0.05 * theirs.norm()
