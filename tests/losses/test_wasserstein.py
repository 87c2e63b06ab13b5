"""WGAN-GP against its formula, and compiled whole."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._dynamo.exc import RecompileError

from progan import networks as nets
from progan.config import LossConfig, Network
from progan.losses import LOSSES, LossNoise
from progan.networks import DiscriminatorOutput
from progan.training.state import initialize
from tests.losses.summarized import discriminator_loss as compute_discriminator_loss
from tests.losses.summarized import generator_loss

SLOPE = np.random.RandomState(7).randn(12)
TEACHER = np.random.RandomState(8).randn(12, 3)
REALS, FAKES = (np.random.RandomState(seed).randn(4, 3, 2, 2) for seed in (1, 2))
MIX = np.array([0, 0.25, 0.5, 1]).reshape(4, 1, 1, 1)
LABELS = np.eye(3)[[0, 2, 1, 2]]
NONE = np.zeros((4, 0))


def curved_discriminator(images: Tensor) -> DiscriminatorOutput:
    """Scores w.x + |x|^2/2, whose gradient is w + x; and linear label logits."""
    x = images.flatten(1)
    return DiscriminatorOutput(
        x @ torch.from_numpy(SLOPE) + x.square().sum(dim=1) / 2, x @ torch.from_numpy(TEACHER)
    )


def score(images: np.ndarray) -> np.ndarray:
    x = images.reshape(len(images), -1)
    return x @ SLOPE + (x**2).sum(axis=1) / 2


def cross_entropy(images: np.ndarray) -> np.ndarray:
    odds = np.exp(images.reshape(len(images), -1) @ TEACHER)
    return -np.log((odds * LABELS).sum(axis=1) / odds.sum(axis=1))


def accuracy(sign: int) -> float:
    """Part of the reals (1) or fakes (-1) on their side of the middle of both means."""
    middle = (score(REALS).mean() + score(FAKES).mean()) / 2
    return float((sign * (score(REALS if sign > 0 else FAKES) - middle) > 0).mean())


def discriminator_loss(
    labels: np.ndarray = NONE, **config: float
) -> tuple[float, dict[str, float]]:
    loss, parts = compute_discriminator_loss(
        curved_discriminator, LossConfig(**config), reals=torch.from_numpy(REALS),
        fakes=torch.from_numpy(FAKES), labels=torch.from_numpy(labels),
        noise=LossNoise(torch.from_numpy(MIX)), controllers={},
    )  # fmt: skip
    return loss.item(), {name: part.item() for name, part in parts.items()}


@pytest.mark.parametrize(
    ("weight", "target", "drift"),
    [(10, 1, 0.001), (10, 750, 0.001), (3, 2, 0.5), (0, 1, 0), (0, 1, 0.1), (10, 1, 0)],
)
def test_the_loss_of_the_critic(weight: float, target: float, drift: float) -> None:
    between = REALS + MIX * (FAKES - REALS)
    norms = np.linalg.norm(SLOPE + between.reshape(4, -1), axis=1)
    penalty = weight * (norms - target) ** 2 / target**2
    expected = (score(FAKES) - score(REALS) + penalty + drift * score(REALS) ** 2).mean()
    loss, parts = discriminator_loss(gp_weight=weight, gp_target=target, drift=drift)
    assert math.isclose(loss, expected, rel_tol=1e-12)
    assert parts == pytest.approx(
        {
            "scores/real": score(REALS).mean(),
            "scores/fake": score(FAKES).mean(),
            "gradient/norm": norms.mean(),
            "loss/penalty": penalty.mean(),
            "loss/drift": (drift * score(REALS) ** 2).mean(),
            "accuracy/real": accuracy(1),
            "accuracy/fake": accuracy(-1),
            "loss/critic": expected,
            "loss/critic-real": (drift * score(REALS) ** 2 - score(REALS)).mean(),
            "loss/critic-fake": score(FAKES).mean(),
        },
        rel=1e-12,
    )


@pytest.mark.parametrize("weight", [0, 1, 2.5])
def test_the_critic_names_the_classes_of_reals_and_fakes(weight: float) -> None:
    plain, _ = discriminator_loss()
    expected = (cross_entropy(REALS) + cross_entropy(FAKES)).mean()
    loss, parts = discriminator_loss(LABELS, label_weight=weight)
    assert math.isclose(loss, plain + weight * expected, rel_tol=1e-12)
    assert math.isclose(parts["loss/label-critic"], expected, rel_tol=1e-12)


@pytest.mark.parametrize("labels", [NONE, LABELS], ids=["unconditional", "with labels"])
def test_the_loss_of_the_generator(labels: np.ndarray) -> None:
    loss, parts = generator_loss(
        curved_discriminator,
        LossConfig(label_weight=2.5),
        fakes=torch.from_numpy(FAKES),
        labels=torch.from_numpy(labels),
    )
    label = cross_entropy(FAKES).mean() if labels.size else 0
    assert math.isclose(loss.item(), -score(FAKES).mean() + 2.5 * label, rel_tol=1e-12)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(
        {"loss/generator": loss.item()} | ({"loss/label-generator": label} if labels.size else {})
    )


def test_the_table_offers_what_the_config_offers() -> None:
    choices = LossConfig.__dataclass_fields__["objective"].metadata["choices"]
    assert tuple(LOSSES) == choices


class Step:
    """The critic's loss of a real network of 8x8 in float64, as a function of what changes."""

    def __init__(self, label_size: int = 0) -> None:
        config = Network(resolution=8, fmap_base=32, fmap_max=8, label_size=label_size)
        self.discriminator = nets.build_discriminator(config).double()
        initialize(self.discriminator, 0, "critic")
        random = np.random.RandomState(3)
        self.reals, self.fakes = torch.from_numpy(random.uniform(-1, 1, (2, 4, 3, 8, 8)))
        classes = torch.tensor([0, 1, 1, 0])
        self.labels = torch.eye(2, dtype=torch.float64)[classes][:, :label_size]
        self.mix = torch.from_numpy(random.rand(4, 1, 1, 1))
        self.objective = LossConfig()

    def loss(self, alpha: Tensor | None) -> Tensor:
        loss, _ = compute_discriminator_loss(
            lambda x: self.discriminator(x, 3, alpha), self.objective, reals=self.reals,
            fakes=self.fakes, labels=self.labels, noise=LossNoise(self.mix), controllers={},
        )  # fmt: skip
        return loss

    def gradients(
        self, function: Callable[[Tensor | None], Tensor], alpha: Tensor | None
    ) -> list[Tensor]:
        """The loss, and its gradients by an ordinary backward pass outside of the graph."""
        loss = function(alpha)
        found = torch.autograd.grad(loss, list(self.discriminator.parameters()), allow_unused=True)
        return [loss.detach(), *(g for g in found if g is not None)]


def alpha_of(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label_size", "alphas"),
    [
        pytest.param(0, [None], id="grown"),
        pytest.param(2, [alpha_of(value) for value in (0.1, 0.5, 0.9)], id="fading with labels"),
    ],
)
def test_compiled_whole_it_is_the_same_and_a_changed_alpha_recompiles_nothing(
    label_size: int, alphas: list[Tensor | None]
) -> None:
    step = Step(label_size)
    torch._dynamo.reset()
    compiled = torch.compile(step.loss, backend="aot_eager", fullgraph=True)
    losses = []
    with torch._dynamo.config.patch(error_on_recompile=True):
        for alpha in alphas:
            found, expected = step.gradients(compiled, alpha), step.gradients(step.loss, alpha)
            assert len(expected) > 8
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)
            losses.append(found[0].item())
        with pytest.raises(RecompileError):  # the watch is on: a change of structure is noticed
            compiled(alpha_of(0.5) if alphas == [None] else None)
    assert len(set(losses)) == len(alphas)
