"""The whole pipeline: how often it acts, its derivatives, and a step that is compiled once."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from progan.augment import AugmentNoise, augment
from progan.config import AUGMENT_KINDS, Augment
from progan.losses.penalties import gradient_norms
from tests.augment.numbers import drawn
from tests.for_each import for_each

EVERYTHING = Augment(augment_kinds=",".join(AUGMENT_KINDS))


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, shape)).to(dtype)


def probability(p: float) -> Tensor:
    return torch.tensor(p)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@for_each("channels", [1, 3, 4])
@for_each(("h", "w"), [(4, 4), (8, 16), (16, 8)])
@for_each("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_p_of_0_returns_the_images_bit_by_bit(
    channels: int, h: int, w: int, dtype: torch.dtype
) -> None:
    images = noise(5, channels, h, w, dtype=dtype)
    found = augment(images, probability(0), drawn(EVERYTHING, 5), EVERYTHING)
    assert found.dtype == dtype and torch.equal(found, images)
    changed = augment(images, probability(1), drawn(EVERYTHING, 5), EVERYTHING)
    assert changed.shape == images.shape and changed.dtype == dtype and changed.isfinite().all()


# Of those that act, the share that changes an image; a translation of nothing changes nothing, and
# colours stay only if none of five transforms acts (and the flip of luma in half of the cases).
def changing(kind: str, p: float) -> float:
    shares = {"flip": p / 2, "translate": p * (1 - 1 / 25), "color": 1 - (1 - p) ** 4 * (1 - p / 2)}
    return shares.get(kind, p)


@for_each("p", [0.0, 0.5, 1.0])
@for_each("kind", AUGMENT_KINDS)
def test_each_kind_acts_with_its_probability(kind: str, p: float) -> None:
    config = Augment(augment_kinds=kind)
    images = noise(1, 3, 16, 16).expand(2000, -1, -1, -1)
    found = augment(images, probability(p), drawn(config, 2000), config)
    share = (found - images).abs().flatten(1).amax(dim=1).gt(1e-5).double().mean().item()
    expected = changing(kind, p)
    assert abs(share - expected) <= 4 * np.sqrt(expected * (1 - expected) / 2000)


def test_kinds_act_independently() -> None:
    config = Augment(augment_kinds="flip,color")
    images = noise(1, 3, 4, 4).expand(4000, -1, -1, -1)
    draws = drawn(config, 4000)
    flipped, colored = (
        (augment(images, probability(0.5), draws, Augment(augment_kinds=kind)) != images)
        .flatten(1)
        .any(dim=1)
        .double()
        for kind in ("flip", "color")
    )
    both = augment(images, probability(0.5), draws, config)
    assert abs(np.corrcoef(flipped, colored)[0, 1]) < 4 / np.sqrt(4000)
    assert torch.equal((both != images).flatten(1).any(dim=1), flipped.bool() | colored.bool())


def test_the_same_draws_give_the_same_images() -> None:
    images = noise(6, 3, 8, 8)
    first, again = (
        augment(images, probability(0.6), drawn(EVERYTHING, 6), EVERYTHING) for _ in range(2)
    )
    assert torch.equal(first, again)


def test_each_image_has_its_own_numbers() -> None:
    images, draws = noise(6, 3, 8, 12), drawn(EVERYTHING, 6)
    whole = augment(images, probability(0.9), draws, EVERYTHING)
    for i in range(6):
        own = AugmentNoise(*(part[i : i + 1] for part in draws))
        single = augment(images[i : i + 1], probability(0.9), own, EVERYTHING)
        np.testing.assert_allclose(single[0], whole[i], rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_derivatives_are_those_of_finite_differences(channels: int) -> None:
    images = noise(2, channels, 4, 5, dtype=torch.float64).requires_grad_()
    draws = drawn(EVERYTHING, 2, seed=3)

    def curved(x: Tensor) -> Tensor:
        return augment(x, probability(0.9), draws, EVERYTHING).pow(3)

    assert torch.autograd.gradcheck(curved, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(curved, images, fast_mode=True)


def penalty(weights: Tensor, images: Tensor, p: Tensor, draws: AugmentNoise) -> Tensor:
    """A gradient penalty through the augmentation, for a critic of one layer."""
    norms = gradient_norms(
        lambda x: augment(x, p, draws, EVERYTHING).flatten(1).mul(weights).sum(dim=1).tanh(), images
    )
    return (norms - 1).square().mean()


def test_penalties_have_the_gradients_of_autograd() -> None:
    images, draws = noise(3, 3, 4, 6, dtype=torch.float64), drawn(EVERYTHING, 3)
    weights = noise(72, dtype=torch.float64).requires_grad_()
    (found,) = torch.autograd.grad(penalty(weights, images, probability(0.8), draws), weights)

    seen = images.clone().requires_grad_()
    scores = augment(seen, probability(0.8), draws, EVERYTHING).flatten(1).mul(weights)
    (slope,) = torch.autograd.grad(scores.sum(dim=1).tanh().sum(), seen, create_graph=True)
    reference = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    (expected,) = torch.autograd.grad(reference, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
def test_a_compiled_step_is_the_same_and_a_new_p_compiles_nothing() -> None:
    compilations = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        compilations.append(graph)
        return torch._dynamo.lookup_backend("aot_eager")(graph, inputs)

    compiled = torch.compile(penalty, backend=backend, fullgraph=True)
    images, weights = noise(3, 3, 8, 8), noise(192).requires_grad_()
    for step, p in enumerate((0.0, 0.4, 1.0)):
        draws = drawn(EVERYTHING, 3, seed=step)
        losses = [
            function(weights, images, probability(p), draws) for function in (penalty, compiled)
        ]
        gradients = [torch.autograd.grad(loss, weights)[0] for loss in losses]
        np.testing.assert_allclose(losses[1].detach(), losses[0].detach(), rtol=1e-5)
        np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-4, atol=1e-6)
    assert len(compilations) == 1
