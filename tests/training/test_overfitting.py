"""The lead of training images over held-out ones, by the discriminator's scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from progan import schedule
from progan.images import to_float
from progan.networks import DiscriminatorOutput
from progan.training import diagnostics
from progan.training import state as states
from progan.training.diagnostics import measure_diagnostics, measure_overfitting
from tests.builders import noise_dataset, tiny_run

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Scores images by their mean, and remembers whether it was training then."""

    was_training = True

    def forward(
        self, images: torch.Tensor, level: int, alpha: torch.Tensor | None
    ) -> DiscriminatorOutput:
        self.was_training &= self.training
        return DiscriminatorOutput(images.mean(dim=(1, 2, 3)), images.new_zeros(len(images), 0))


def test_scores_are_those_of_the_rows_and_the_ratio_is_of_their_means(tmp_path: Path) -> None:
    dataset, run = noise_dataset(tmp_path / "set", holdout=0.3), tiny_run(batch=5)
    state = states.create_state(run, CPU)
    discriminator = Brightness()
    state.discriminator = discriminator  # type: ignore[assignment]
    stage = schedule.stage_at(run.growth, run.network, 7500)
    assert (stage.level, stage.alpha) == (4, 1)

    found = measure_overfitting(state, run, dataset, stage, CPU)

    training = dataset.training_rows[np.linspace(0, 27, 12).astype(int)]
    expected = [
        to_float(torch.from_numpy(dataset.images(4, rows))).mean().item()
        for rows in (training, dataset.held_out_rows)
    ]
    np.testing.assert_allclose(
        [found["overfitting/training"], found["overfitting/held-out"]], expected, rtol=1e-5
    )
    ratio = (expected[0] - expected[1]) / (expected[0] - found["overfitting/fake"])
    np.testing.assert_allclose(found["overfitting/ratio"], ratio, rtol=1e-4)
    assert discriminator.training and not discriminator.was_training


def test_images_are_generated_in_parts_of_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, run = noise_dataset(tmp_path / "set", holdout=0.3), tiny_run(batch=5)
    state = states.create_state(run, CPU)
    stage = schedule.stage_at(run.growth, run.network, 7500)
    counts: list[int] = []
    state.g_ema.register_forward_pre_hook(lambda _, inputs: counts.append(len(inputs[0])))
    whole = measure_overfitting(state, run, dataset, stage, CPU)
    monkeypatch.setattr(diagnostics, "batch_size", lambda network, level: 5)
    assert measure_overfitting(state, run, dataset, stage, CPU) == pytest.approx(whole)
    assert counts == [12, 5, 5, 2]


def test_nothing_is_said_where_nothing_is_held_out(tmp_path: Path) -> None:
    dataset, run = noise_dataset(tmp_path / "set"), tiny_run()
    state = states.create_state(run, CPU)
    assert (
        measure_overfitting(state, run, dataset, schedule.stage_at(run.growth, run.network, 0), CPU)
        == {}
    )


@pytest.mark.parametrize(("batch", "sizes"), [(8, [9]), (4, [5, 4]), (2, [3, 2, 2, 2])])
def test_no_part_is_smaller_than_a_training_batch(
    tmp_path: Path, batch: int, sizes: list[int]
) -> None:
    """Batch normalisation of a lone image fails, and its minibatch stddev is 0."""
    dataset = noise_dataset(tmp_path / "set", count=30, holdout=0.3)
    assert len(dataset.held_out_rows) == 9
    run = tiny_run(batch=batch, d_norm="batch", stddev_group=0)
    state, found = states.create_state(run, CPU), list[int]()
    state.discriminator.register_forward_pre_hook(lambda _, inputs: found.append(len(inputs[0])))
    measure_overfitting(state, run, dataset, schedule.stage_at(run.growth, run.network, 7500), CPU)
    assert found == 3 * sizes


def test_one_held_out_image_says_nothing(tmp_path: Path) -> None:
    dataset, run = noise_dataset(tmp_path / "set", count=30, holdout=0.03), tiny_run()
    assert len(dataset.held_out_rows) == 1
    stage = schedule.stage_at(run.growth, run.network, 7500)
    assert measure_overfitting(states.create_state(run, CPU), run, dataset, stage, CPU) == {}


def test_held_out_images_are_of_all_classes_where_they_are_sorted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of them would be compared with training images of other classes."""
    monkeypatch.setattr(diagnostics, "MAX_HELD_OUT", 6)
    dataset, run = noise_dataset(tmp_path / "set", holdout=0.5), tiny_run()
    state = states.create_state(run, CPU)
    discriminator = Brightness()
    state.discriminator = discriminator  # type: ignore[assignment]
    stage = schedule.stage_at(run.growth, run.network, 7500)
    found = measure_overfitting(state, run, dataset, stage, CPU)
    rows = dataset.held_out_rows[np.linspace(0, 19, 6).astype(int)]
    assert rows[-1] == dataset.held_out_rows[-1]
    mean = to_float(torch.from_numpy(dataset.images(4, rows))).mean().item()
    assert found["overfitting/held-out"] == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize(
    ("network", "lost"), [("discriminator", "overfitting"), ("generator", "diversity")]
)
def test_what_runs_out_of_memory_is_left_out(tmp_path: Path, network: str, lost: str) -> None:
    dataset, run = noise_dataset(tmp_path / "set", holdout=0.3), tiny_run(batch=5)
    state, printed = states.create_state(run, CPU), list[str]()
    stage = schedule.stage_at(run.growth, run.network, 7500)
    whole = measure_diagnostics(state, run, dataset, stage, CPU, pytest.fail)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    getattr(state, network).register_forward_pre_hook(fail)
    found = measure_diagnostics(state, run, dataset, stage, CPU, printed.append)
    assert found == {name: value for name, value in whole.items() if not name.startswith(lost)}
    assert printed == [
        f"Out of memory at resolution 16: {lost} is not measured at this tick. Training continues."
    ]
    assert state.generator.training and state.discriminator.training
