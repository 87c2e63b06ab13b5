"""A discriminator step: reals and fakes in one batch, apart, and in two updates."""

from typing import Any

import pytest
import torch

from progan.batch_split import count_interleavable_blocks
from progan.config import Run
from progan.losses import LossNoise
from progan.training import step as training_step
from progan.training.gradients import Gradients
from progan.training.optim import trainable_parameters
from progan.training.step import DiscriminatorBatch, discriminator_loss
from progan.training.step_inputs import LevelAlpha
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, RUNS, Recorded, born, iterations, run_of


def shown(run: Run, n: int) -> DiscriminatorBatch:
    random = torch.Generator().manual_seed(n)
    size, channels = run.network.size(3), run.network.channels
    images = torch.randn(2, n, channels, *size, generator=random, dtype=torch.float64)
    loss_noise = LossNoise(torch.rand(n, 1, 1, 1, generator=random, dtype=torch.float64))
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(n) % 3]
    return DiscriminatorBatch(images[0], images[1], labels, loss_noise)


@pytest.mark.parametrize(("n", "group"), [(8, 4), (4, 4), (4, 0), (12, 4), (8, 2), (6, 3)])
def test_reals_and_fakes_together_are_judged_as_apart(
    n: int, group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(resolution=8, label_size=3, stddev_group=group)
    state, inputs = born(run), shown(run, n)
    position = LevelAlpha(3, torch.tensor(0.3, dtype=torch.float64))
    batches = []
    watched = state.discriminator.register_forward_pre_hook(
        lambda module, arguments: batches.append(len(arguments[0]))
    )

    def found() -> tuple[dict[str, torch.Tensor], list[torch.Tensor | None]]:
        loss, terms = discriminator_loss(state, run, position, "both", inputs)
        return terms, list(
            torch.autograd.grad(loss, trainable_parameters(state.d_optimizer), allow_unused=True)
        )

    together, gradients = found()
    assert batches == [2 * n, n]
    monkeypatch.setattr(training_step, "count_interleavable_blocks", lambda run, n: 0)
    apart, expected = found()
    watched.remove()
    assert batches == [2 * n, n, n, n, n]
    torch.testing.assert_close(together, apart, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n", "group"), [(6, 4), (2, 4), (1, 4)])
def test_groups_that_would_grow_keep_them_apart(n: int, group: int) -> None:
    """Six images are two groups of three, and twelve would be three of four."""
    assert count_interleavable_blocks(tiny_run(stddev_group=group), n) == 0


def test_what_looks_at_the_whole_batch_keeps_them_apart() -> None:
    assert count_interleavable_blocks(tiny_run(d_norm="batch", stddev_group=0), 8) == 0
    assert count_interleavable_blocks(tiny_run(dropout=0.3), 8) == 0
    assert count_interleavable_blocks(run_of("dcgan, gan, separate"), 8) == 0
    assert count_interleavable_blocks(tiny_run(), 8) == 4


def test_of_two_updates_each_is_measured_before_it() -> None:
    """The scores of reals are those that the step began with, and those of fakes come later."""
    run = run_of("dcgan, gan, separate")
    joint = tiny_run(**COMMON | RUNS["dcgan, gan, separate"] | dict(separate_updates=False))
    separate = iterations(run, born(run), 1)
    together = iterations(joint, born(joint), 1)
    for name in ("scores/real", "loss/critic-real", "accuracy/real"):
        torch.testing.assert_close(separate[name], together[name], rtol=1e-12, atol=0)
    assert separate["scores/fake"] > together["scores/fake"] + 1e-6  # after learning to trust
    for found in (separate, together):
        total = found["loss/critic-real"] + found["loss/critic-fake"]
        label = found["loss/label-critic"] * run.loss.label_weight
        torch.testing.assert_close(found["loss/critic"], total + label, rtol=1e-12, atol=0)


@pytest.mark.parametrize("large", [0, 1])
def test_the_larger_gradient_of_two_updates_is_measured(large: int) -> None:
    run = run_of("dcgan, gan, separate")

    class Enlarged(Recorded):
        def gradients(self, *arguments: Any) -> Gradients:
            found = super().gradients(*arguments)
            factor = 1000 if len(self.seen) - 1 == large else 1
            weights = [None if each is None else each * factor for each in found.of_weights]
            return Gradients(weights, found.terms)

    split = Enlarged()
    statistics = iterations(run, born(run), 1, split)
    norms = [torch.cat([each.flatten() for each in part]).norm() for part in split.seen[:2]]
    torch.testing.assert_close(
        statistics["gradient/critic-weights"], norms[large] * 1000, rtol=1e-10, atol=0
    )
