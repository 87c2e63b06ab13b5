"""Every objective against its paper: values, gradients, compiled, and what it reports."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from progan import networks as nets
from progan.config import AUTOENCODERS_ONLY, LossConfig, Network
from progan.losses import LOSSES, DiscriminatorFn, LossNoise, Side, draw_loss_noise
from progan.losses.penalties import gradient_norms
from progan.losses.terms import add_terms
from progan.networks import DiscriminatorOutput
from progan.training.state import initialize
from tests.for_each import for_each
from tests.losses.one_pixel import column, of_one_pixel
from tests.losses.summarized import discriminator_loss, generator_loss
from tests.reference import numpy_objectives as reference
from tests.reference.numpy_objectives import Array, Situation, curved_discriminator, situation

CASES = {
    "gan": LossConfig(objective="gan"),
    "gan smoothed": LossConfig(objective="gan", label_smoothing=0.1),
    "gan with noise": LossConfig(objective="gan", label_noise=0.05),
    "gan with both": LossConfig(objective="gan", label_smoothing=0.2, label_noise=0.3),
    "lsgan": LossConfig(objective="lsgan"),
    "lsgan light fakes": LossConfig(objective="lsgan", fake_weight=0.1),
    "wgan": LossConfig(objective="wgan"),
    "wgan drift": LossConfig(objective="wgan", drift=0.7),
    "wgan-gp": LossConfig(objective="wgan-gp"),
    "wgan-gp 750": LossConfig(objective="wgan-gp", gp_target=750.0),
    "dragan": LossConfig(objective="dragan"),
    "dragan steep": LossConfig(objective="dragan", gp_weight=3.0, gp_target=2.0, label_noise=0.1),
    "ebgan": LossConfig(objective="ebgan"),
    "ebgan wide margin": LossConfig(objective="ebgan", margin=100.0, pulling_away=0.7),
    "ebgan no margin": LossConfig(objective="ebgan", margin=0.0, pulling_away=0.0),
    "began": LossConfig(objective="began"),
    "r1": LossConfig(objective="r1"),
    "r1 light": LossConfig(objective="r1", gp_weight=0.3, label_smoothing=0.1),
    "relativistic": LossConfig(objective="relativistic"),
    "relativistic light": LossConfig(objective="relativistic", gp_weight=0.05),
}
EACH: tuple[Side, ...] = ("both", "real", "fake")
SITUATION = situation(1)
every_case = for_each("name", CASES)
with_and_without_labels = for_each(
    "s", [SITUATION, SITUATION.unlabelled()], ids=["with labels", "unlabelled"]
)


def tensor(array: Array | float) -> Tensor:
    return torch.tensor(array, dtype=torch.float64)


class Leaves:
    """What the losses are differentiated by, as leaves of torch's graph."""

    def __init__(self, s: Situation) -> None:
        self.s = s
        self.by_name = {
            name: tensor(getattr(s, name)).requires_grad_()
            for name in ("slope", "teacher", "encoder", "reals", "fakes")
        }

    def discriminator(self, images: Tensor) -> DiscriminatorOutput:
        return curved_discriminator(
            *(self.by_name[n] for n in ("slope", "teacher", "encoder")), images
        )

    def loss(self, o: LossConfig, of: str, side: Side = "both") -> tuple[Tensor, dict[str, Tensor]]:
        reals, fakes, labels = (self.by_name["reals"], self.by_name["fakes"], tensor(self.s.labels))
        if of == "generator":
            return generator_loss(self.discriminator, o, fakes=fakes, labels=labels, reals=reals)
        noise = LossNoise(
            tensor(self.s.mix),
            tensor(self.s.pixels),
            tensor(self.s.targets).T if o.label_noise else None,
        )
        return discriminator_loss(
            self.discriminator, o, reals=reals, fakes=fakes, labels=labels, noise=noise,
            controllers={"balance": tensor(self.s.k)}, side=side,
        )  # fmt: skip


FORMULAS = {"critic": reference.discriminator_loss, "generator": reference.generator_loss}


def slopes(function: Callable[[Array], float], at: Array, step: float = 1e-5) -> Array:
    """Central differences."""
    found = np.empty(at.size)
    for number in range(at.size):
        updated = np.zeros(at.size)
        updated[number] = step
        updated = updated.reshape(at.shape)
        found[number] = (function(at + updated) - function(at - updated)) / (2 * step)
    return found.reshape(at.shape)


@every_case
@with_and_without_labels
@for_each("of", FORMULAS)
def test_the_value_is_that_of_the_paper(name: str, s: Situation, of: str) -> None:
    loss, _ = Leaves(s).loss(CASES[name], of)
    assert loss.shape == ()
    assert math.isclose(loss.item(), FORMULAS[of](CASES[name], s), rel_tol=1e-11)


@every_case
@for_each("of", FORMULAS)
def test_the_gradients_are_those_of_the_paper(name: str, of: str) -> None:
    """By weights of the critic and by images: the formula's finite differences."""
    o, leaves = CASES[name], Leaves(SITUATION)
    loss, _ = leaves.loss(o, of)
    found = torch.autograd.grad(loss, list(leaves.by_name.values()), allow_unused=True)
    for (part, leaf), gradient in zip(leaves.by_name.items(), found, strict=True):
        at = getattr(SITUATION, part)
        expected = slopes(lambda x, part=part: FORMULAS[of](o, replace(SITUATION, **{part: x})), at)
        ours = torch.zeros_like(leaf) if gradient is None else gradient
        np.testing.assert_allclose(
            ours, expected, rtol=1e-6, atol=1e-8 * max(1, np.abs(expected).max()), err_msg=part
        )


@every_case
def test_the_parts_are_reported_as_means(name: str) -> None:
    o, s = CASES[name], SITUATION
    loss, parts = Leaves(s).loss(o, "critic")
    assert all(part.shape == () and not part.requires_grad for part in parts.values())
    real, fake = s.score(s.reals), s.score(s.fakes)
    assert math.isclose(parts["scores/real"], real.mean(), rel_tol=1e-12)
    assert math.isclose(parts["scores/fake"], fake.mean(), rel_tol=1e-12)
    both = (reference.label_loss(s, s.reals) + reference.label_loss(s, s.fakes)).mean()
    assert math.isclose(parts["loss/label-critic"], both, rel_tol=1e-12)
    assert ("loss/penalty" in parts) == (LOSSES[o.objective].penalty is not None)
    if "loss/penalty" in parts:
        assert math.isclose(parts["loss/penalty"], reference.penalty(o, s).mean(), rel_tol=1e-11)
    assert math.isclose(
        parts["loss/critic-real"] + parts["loss/critic-fake"],
        reference.adversarial(o, s, real, fake).mean(),
        rel_tol=1e-11,
    )
    assert math.isclose(parts["loss/critic"], loss.item(), rel_tol=1e-12)


@for_each("name", CASES)
def test_what_concerns_reals_and_what_concerns_fakes_is_the_whole(name: str) -> None:
    """Separate updates use one after the other; each leaves the other's images out."""
    leaves = Leaves(SITUATION)
    whole, real, fake = (leaves.loss(CASES[name], "critic", side)[0] for side in EACH)
    assert math.isclose((real + fake).item(), whole.item(), rel_tol=1e-12)
    if CASES[name].objective == "relativistic":
        return  # a pair cannot be taken apart
    if LOSSES[CASES[name].objective].penalty is None:
        assert torch.autograd.grad(real, leaves.by_name["fakes"], allow_unused=True)[0] is None
    assert torch.autograd.grad(fake, leaves.by_name["reals"], allow_unused=True)[0] is None
    weights = [leaves.by_name[part] for part in ("slope", "teacher", "encoder")]
    of_whole, of_real, of_fake = (
        torch.autograd.grad(loss, weights, allow_unused=True, retain_graph=True)
        for loss in (leaves.loss(CASES[name], "critic", side)[0] for side in EACH)
    )
    for together, *apart in zip(of_whole, of_real, of_fake, strict=True):
        if together is not None:
            found = sum(each for each in apart if each is not None)
            torch.testing.assert_close(found, together, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("side", "expected"), [("both", [True, True]), ("real", [True, False]), ("fake", [False, True])]
)
def test_images_that_are_left_out_are_scored_without_a_graph(
    side: Side, expected: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves, found = Leaves(SITUATION), []

    def discriminator(self: Leaves, images: Tensor) -> DiscriminatorOutput:
        found.append(torch.is_grad_enabled())
        return score(self, images)

    score = Leaves.discriminator
    monkeypatch.setattr(Leaves, "discriminator", discriminator)
    leaves.loss(LossConfig(objective="gan"), "critic", side)
    assert found == expected
    found.clear()
    with torch.no_grad():
        leaves.loss(LossConfig(objective="gan"), "critic", side)
    assert found == [False, False]


@pytest.mark.parametrize(
    ("objective", "real", "fake"),
    [
        # The middle is where the loss has it ...
        ("gan", 3 / 4, 2 / 4),
        ("dragan", 3 / 4, 2 / 4),
        ("r1", 3 / 4, 2 / 4),
        ("lsgan", 1 / 4, 1),
        # ... or between the means -0.425 and 0.045, at -0.19.
        ("wgan", 3 / 4, 1 / 4),
        ("wgan-gp", 3 / 4, 1 / 4),
        ("ebgan", 3 / 4, 1 / 4),
        ("began", 3 / 4, 1 / 4),
        ("relativistic", 3 / 4, 1 / 4),
    ],
)
def test_accuracies_count_the_images_on_their_side(
    objective: str, real: float, fake: float
) -> None:
    reals, fakes = column([0.4, 0.3, 0.6, -3.0]), column([0.1, -0.2, 0.4, -0.12])
    o = LossConfig(objective=objective)
    _, parts = discriminator_loss(
        of_one_pixel, o, reals=reals, fakes=fakes, labels=torch.zeros(4, 0),
        noise=draw_loss_noise(o, reals.shape, torch.Generator()),
        controllers={"balance": tensor(0.0)},
    )  # fmt: skip
    assert (parts["accuracy/real"], parts["accuracy/fake"]) == (real, fake)


def test_dragan_looks_within_half_a_deviation_of_the_reals() -> None:
    seen = []

    def spy(images: Tensor) -> DiscriminatorOutput:
        seen.append(images.detach())
        return DiscriminatorOutput(images.flatten(1).sum(dim=1), images.flatten(1)[:, :0])

    random = np.random.RandomState(0)
    reals, fakes = tensor(random.randn(64, 3, 4, 4) * 7 + 2), tensor(random.randn(64, 3, 4, 4))
    o = LossConfig(objective="dragan")
    stream = torch.Generator().manual_seed(0)
    discriminator_loss(
        spy, o, reals=reals, fakes=fakes, labels=torch.zeros(64, 0),
        noise=draw_loss_noise(o, reals.shape, stream), controllers={},
    )  # fmt: skip
    (near,) = [
        images
        for images in seen
        if not torch.equal(images, reals) and not torch.equal(images, fakes)
    ]
    noise = (near - reals) / np.std(reals.numpy())
    assert 0 <= noise.min() < 0.001 and 0.45 < noise.max() < 0.5
    assert abs(noise.mean() - 0.125) < 0.03  # of u v / 2, both uniform


@pytest.mark.parametrize("objective", LOSSES)
def test_mixed_batches_change_nothing_for_a_critic_that_sees_images_alone(objective: str) -> None:
    leaves = Leaves(SITUATION)
    apart, together = (
        leaves.loss(LossConfig(objective=objective, mixed_batches=mixed), "critic")
        for mixed in (False, True)
    )
    torch.testing.assert_close(apart, together, rtol=1e-12, atol=1e-12)


@for_each("mixed", [False, True])
@for_each("objective", LOSSES)
def test_mixed_batches_are_judged_together(objective: str, mixed: bool) -> None:
    """A score that is an image's distance from the middle of its batch."""

    def from_the_middle(x: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(
            of_one_pixel(x).scores - x.mean(), x.flatten(1)[:, :0], x.flatten(1)
        )

    reals, fakes = column([1.0, 2.0]), column([5.0, 12.0])
    o = LossConfig(objective=objective, mixed_batches=mixed)
    _, parts = discriminator_loss(
        from_the_middle, o, reals=reals, fakes=fakes, labels=torch.zeros(2, 0),
        controllers={"balance": tensor(0.5)},
        noise=draw_loss_noise(o, reals.shape, torch.Generator()),
    )  # fmt: skip
    assert (parts["scores/real"], parts["scores/fake"]) == ((1.5 - 5, 8.5 - 5) if mixed else (0, 0))


def test_mixed_batches_keep_each_logit_and_code_with_its_image() -> None:
    """Labels that suit the reals alone; a real's logits in a fake's place would be noticed."""
    reals, fakes = column([9.0, 9.0]), column([-9.0, -9.0])

    def classifier(x: Tensor) -> DiscriminatorOutput:
        value = x.flatten(1)
        return DiscriminatorOutput(value[:, 0], torch.cat([value, -value], dim=1), value)

    _, parts = discriminator_loss(
        classifier, LossConfig(objective="began", mixed_batches=True), reals=reals, fakes=fakes,
        labels=tensor([[1.0, 0.0]] * 2), noise=LossNoise(column([0, 0])),
        controllers={"balance": tensor(0.0)},
    )  # fmt: skip
    assert math.isclose(parts["loss/label-critic"], 18, rel_tol=1e-6)  # -log sigmoid(-18)


SHAPE = torch.Size((200, 3, 4, 4))


@for_each("objective", LOSSES)
@for_each("label_noise", [0.0, 0.05])
def test_only_those_chances_are_drawn_that_are_used(objective: str, label_noise: float) -> None:
    noise = draw_loss_noise(
        LossConfig(objective=objective, label_noise=label_noise),
        SHAPE,
        torch.Generator().manual_seed(0),
    )
    assert noise.mix.shape == (200, 1, 1, 1)
    assert (noise.pixels is not None) == (objective == "dragan")
    moves = label_noise > 0 and objective in ("gan", "dragan", "r1")
    assert (noise.targets is not None) == moves


def test_chances_are_uniform_and_those_of_the_stream() -> None:
    o = LossConfig(objective="dragan", label_noise=0.1)
    one, same, other = (
        draw_loss_noise(o, SHAPE, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    for part, again, different in zip(one, same, other, strict=True):
        assert torch.equal(part, again) and not torch.equal(part, different)
        assert part.dtype == torch.float32 and 0 <= part.min() and part.max() < 1
        # The largest distance of the empirical distribution from the uniform one (Kolmogorov).
        ordered = part.flatten().sort().values
        distance = (ordered - torch.linspace(0, 1, len(ordered))).abs().max()
        assert distance < 1.95 / len(ordered) ** 0.5  # exceeded once in a thousand
    assert (one.pixels.shape, one.targets.shape) == (SHAPE, (200, 2))


class Step:
    """The critic's loss of a small real network in float64, with all its inputs."""

    def __init__(self, objective: LossConfig) -> None:
        kind, side = (
            ("autoencoder", 4) if (objective.objective in AUTOENCODERS_ONLY) else ("dcgan", 8)
        )
        config = Network(
            kind=kind, resolution=side, fmap_base=16, fmap_max=4, code_size=5, label_size=2,
            stddev_group=0,
        )  # fmt: skip
        self.network, self.objective = nets.build_discriminator(config).double(), objective
        initialize(self.network, 0, "critic")
        random = np.random.RandomState(3)
        self.reals, self.fakes = tensor(random.uniform(-1, 1, (2, 4, 3, side, side)))
        self.labels = torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0]]
        self.noise = LossNoise(
            tensor(random.rand(4, 1, 1, 1)),
            tensor(random.rand(*self.reals.shape)),
            tensor(random.rand(4, 2)) if objective.label_noise else None,
        )

    def discriminator(self) -> DiscriminatorFn:
        return lambda images: self.network(images, self.network.config.max_level)

    def loss(self, balance: Tensor) -> Tensor:
        loss, _ = discriminator_loss(
            self.discriminator(), self.objective, reals=self.reals, fakes=self.fakes,
            labels=self.labels, noise=self.noise, controllers={"balance": balance},
        )  # fmt: skip
        return loss

    def gradients(self, function: Callable[[Tensor], Tensor], balance: float) -> list[Tensor]:
        loss = function(tensor(balance))
        found = torch.autograd.grad(loss, list(self.network.parameters()), allow_unused=True)
        return [loss.detach(), *(g for g in found if g is not None)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [*(LossConfig(objective=name) for name in LOSSES), CASES["gan with both"]],
    ids=[*LOSSES, "gan with both"],
)
def test_compiled_whole_it_is_the_same_and_a_turned_dial_recompiles_nothing(
    objective: LossConfig,
) -> None:
    step = Step(objective)
    torch._dynamo.reset()
    compiled = torch.compile(step.loss, backend="aot_eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for balance in (0.0, 0.7):
            found, expected = (step.gradients(loss, balance) for loss in (compiled, step.loss))
            assert len(expected) > 4
            for ours, theirs in zip(found, expected, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13)


def test_two_updates_report_the_terms_of_their_own_images() -> None:
    leaves, o = Leaves(SITUATION), LossConfig(objective="r1")
    whole, real, fake = (leaves.loss(o, "critic", side)[1] for side in EACH)
    shared = {"loss/critic", "loss/label-critic"}
    assert real.keys() & fake.keys() == shared
    assert {"gradient/norm", "loss/penalty"} <= real.keys()
    expected = {name: term for name, term in whole.items() if not name.startswith("accuracy")}
    torch.testing.assert_close(add_terms(real, fake), expected)


def test_an_image_without_a_gradient_leaves_those_of_the_weights_finite() -> None:
    """The square root of 0 has an infinite slope."""
    weight = torch.tensor([[0.5, 0.0]], requires_grad=True)
    alive = torch.tensor([[1.0], [0.0]])
    norms = gradient_norms(lambda x: (x * alive * weight).sum(1), torch.ones(2, 2))
    assert norms.tolist() == [0.5, 0]
    ((norms - 1) ** 2).mean().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[-0.5, 0.0]]
