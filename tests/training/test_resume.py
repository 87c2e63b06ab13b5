"""A state that went through a file goes on bitwise as if it had not, whatever is trained."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from progan import schedule
from progan.config import Run
from progan.data.loader import read_batches
from progan.data.reader import Dataset
from progan.training import state as states
from progan.training.checkpoint import COUNTERS, load_state, save_state_and_delete_oldest
from progan.training.loop import train_round
from progan.training.optim import enter_phase
from progan.training.state import TrainState
from progan.training.step import update_g_ema
from progan.training.step_stats import StepStats
from tests.builders import noise_dataset, tiny_run

CPU = torch.device("cpu")
CLASSES = 3

COMMON: dict[str, Any] = dict(
    resolution=8, latent_size=6, fmap_base=32, fmap_max=8, batch=8, total_kimg=0.096,
    minibatch_repeats=2, g_lr=0.01, d_lr=0.01,
)  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "dcgan, gan": dict(
        kind="dcgan", kernel=5, objective="gan", dropout=0.4, label_noise=0.1, label_smoothing=0.1,
        optimizer="rmsprop", clip_gradients=1e-3, lr_decay=5.0, g_norm="batch", d_norm="batch",
        output="tanh", label_size=CLASSES,
    ),
    "dcgan, lsgan": dict(
        kind="dcgan", objective="lsgan", adaptive_noise=True, beta1=0.5, output_kernel=3,
        fake_weight=0.1, d_lr=0.05,
    ),
    "resnet, wgan-gp": dict(
        kind="resnet", objective="wgan-gp", g_norm="batch", d_norm="layer", d_repeats=2,
        output="tanh", resolution=16,
    ),
    "autoencoder, began": dict(
        kind="autoencoder", objective="began", code_size=6, g_norm="none", balance_rate=0.5,
        g_activation="elu", d_activation="elu", equalized_lr=False, weight_stddev=0.05, g_lr=1e-4,
        d_lr=1e-4,
    ),
    "autoencoder, ebgan": dict(
        kind="autoencoder", objective="ebgan", code_size=6, energy="l2", margin=1.0,
        pulling_away=0.1, mixed_batches=True,
    ),
    "dcgan, wgan": dict(
        kind="dcgan", objective="wgan", drift=0.0, optimizer="rmsprop", clip_weights=0.01,
        d_repeats=3, equalized_lr=False,
    ),
    "dcgan, dragan": dict(kind="dcgan", objective="dragan", mirror=True),
    "dcgan, r1": dict(kind="dcgan", objective="r1", equalized_lr=False, weight_stddev=0.02),
    "progressive, relativistic": dict(
        objective="relativistic", training_kimg=0.032, transition_kimg=0.032, mirror=True,
        minibatch_kernels=2,
    ),
    "frozen, wgan-gp": dict(freeze_d=1, training_kimg=0.032, transition_kimg=0.032),
    "progressive, adaptive augmentation": dict(
        augment="adaptive", augment_p=0.4, augment_steps=5, augment_kinds="flip,zoom,color",
        training_kimg=0.032, transition_kimg=0.032, mirror=True, d_repeats=2, ema_decay=0.9,
    ),
    "stacked-mnist, wgan-gp": dict(
        kind="stacked-mnist", objective="wgan-gp", fmap_base=16, d_fmap_base=8, g_norm="batch",
        training_kimg=0.032, transition_kimg=0.032, label_size=CLASSES,
    ),
}  # fmt: skip
every_run = pytest.mark.parametrize("name", RUNS)


def run_of(name: str) -> Run:
    return tiny_run(**(COMMON | RUNS[name]))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return noise_dataset(tmp_path_factory.mktemp("resume") / "noise", classes=CLASSES)


@dataclass
class Training:
    """A run, round by round; after each one the state may go through a file."""

    run: Run
    dataset: Dataset
    state: TrainState
    meter: StepStats = field(default_factory=StepStats)

    def rounds(self, count: int) -> None:
        meter = StepStats()
        seen = self.state.images_seen
        batches = read_batches(self.dataset, self.run, seen)
        to_come = schedule.iterate_rounds(self.run.growth, self.run.network, seen)
        for _, (_, stage) in zip(range(count), to_come, strict=False):
            enter_phase(self.state, stage, self.run)
            train_round(self.run, self.state, stage, batches, meter)

    def steps(self, count: int) -> None:
        """Train so many discriminator steps, from wherever in a round the state is."""
        self.meter = StepStats(self.state.stat_sums)
        batches = read_batches(
            self.dataset, self.run, self.state.images_seen, self.state.round_images_seen
        )
        to_come = schedule.iterate_rounds(
            self.run.growth, self.run.network, self.state.images_seen, self.state.round_images_seen
        )
        for self.state.round_images_seen, stage in to_come:
            enter_phase(self.state, stage, self.run)
            end = self.state.images_seen + count * stage.batch
            train_round(
                self.run, self.state, stage, batches, self.meter,
                lambda end=end: self.state.images_seen >= end,
            )  # fmt: skip
            count = (end - self.state.images_seen) // stage.batch
            if not count:
                return

    def through_a_file(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.state = load_state(
            save_state_and_delete_oldest(directory, self.state, self.run), self.run, CPU
        )


def begun(name: str, dataset: Dataset) -> Training:
    run = run_of(name)
    return Training(run, dataset, states.create_state(run, CPU))


def tensors(state: TrainState) -> dict[str, torch.Tensor]:
    """All that a state holds, by name."""
    found = {f"dials.{name}": value for name, value in state.controllers.items()}
    for part, module in (state.networks | state.optimizers).items():
        content = module.state_dict()
        if "param_groups" in content:
            found |= {
                f"{part}.{number}.{name}": value
                for number, moments in content["state"].items()
                for name, value in moments.items()
            }
        else:
            found |= {f"{part}.{name}": value for name, value in content.items()}
    return found


def assert_same(one: TrainState, other: TrainState) -> None:
    first, second = tensors(one), tensors(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype and torch.equal(value, second[name]), name
    clocks = [name for name in COUNTERS if name != "seconds"]
    assert [getattr(one, name) for name in clocks] == [getattr(other, name) for name in clocks]


@every_run
def test_a_resumed_run_ends_in_the_very_same_state(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    whole, broken = begun(name, dataset), begun(name, dataset)
    before = {name: value.clone() for name, value in tensors(whole.state).items()}
    torch.manual_seed(1)
    whole.rounds(99)
    torch.manual_seed(2)  # a resumed run finds torch's own random numbers anywhere
    for _ in range(3):
        broken.rounds(1)
        broken.through_a_file(tmp_path)
    broken.rounds(99)
    assert_same(whole.state, broken.state)
    assert whole.state.kimg >= whole.run.growth.total_kimg
    after = tensors(whole.state)
    assert all(torch.isfinite(value).all() for value in after.values())
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert {name for name in before if name.startswith("dials.")} <= moved
    assert len([name for name in moved if name.endswith("weight")]) >= 6


@every_run
def test_a_run_that_was_cut_after_every_step_ends_in_the_very_same_state(
    name: str, dataset: Dataset, tmp_path: Path
) -> None:
    """In the middle of rounds, of iterations, of ticks and of fades; the sums of the tick too."""
    whole, broken = begun(name, dataset), begun(name, dataset)
    steps = 12
    whole.steps(steps)
    for number in range(steps):
        torch.manual_seed(number)
        broken.steps(1)
        broken.through_a_file(tmp_path / str(number))
    assert whole.state.images_seen == broken.state.images_seen == 8 * steps
    assert_same(whole.state, broken.state)
    assert whole.state.stat_sums.counts == broken.state.stat_sums.counts
    assert whole.meter.take()[0] == StepStats(broken.state.stat_sums).take()[0]


def test_a_round_of_other_settings_is_not_gone_on_with(dataset: Dataset) -> None:
    """With another batch size the state is at no step of its round: a new one begins."""
    training = begun("dcgan, r1", dataset)
    training.steps(1)
    assert (training.state.round_images_seen, training.state.images_seen) == (0, 8)
    training.run = tiny_run(**(COMMON | RUNS["dcgan, r1"] | dict(batch=5)))
    training.steps(1)
    assert (training.state.round_images_seen, training.state.images_seen) == (8, 13)


@every_run
def test_another_seed_takes_another_way(name: str, dataset: Dataset) -> None:
    """Else the comparison above could be of states that chance does not reach."""
    one, other = begun(name, dataset), begun(name, dataset)
    other.run = tiny_run(**(COMMON | RUNS[name]), seed=1)  # the same weights, other chances
    for training in (one, other):
        training.rounds(1)
    first, second = tensors(one.state), tensors(other.state)
    assert any(
        not torch.equal(value, second[name])
        for name, value in first.items()
        if name.startswith("discriminator.")
    )


def test_training_leaves_torchs_own_random_numbers_alone(dataset: Dataset) -> None:
    training, state = begun("dcgan, gan", dataset), torch.random.get_rng_state()
    training.rounds(1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_every_step_has_a_mask_of_its_own(dataset: Dataset) -> None:
    """Dropout of a discriminator that never learns, shown the same images over and over."""
    run = tiny_run(**(COMMON | RUNS["dcgan, gan"] | dict(d_lr=0.0, g_lr=0.0)))
    training = Training(run, dataset, states.create_state(run, CPU))
    masks: list[torch.Tensor] = []
    training.state.discriminator.head.dropout.register_forward_hook(
        lambda layer, args, out: masks.append((out == 0).flatten())
    )
    training.rounds(2)
    assert len(masks) == 4 * 3  # each iteration: reals, fakes, and fakes for the generator
    assert len({tuple(mask.tolist()) for mask in masks}) == len(masks)


def test_clipped_weights_stay_within_the_limit(dataset: Dataset) -> None:
    training = begun("dcgan, wgan", dataset)
    for _ in range(3):
        training.rounds(1)
        largest = max(
            weight.detach().abs().max() for weight in training.state.discriminator.parameters()
        )
        assert largest == pytest.approx(0.01, rel=1e-6)
        assert max(w.abs().max() for w in training.state.generator.parameters()) > 0.1


def test_learning_rates_decay_by_the_images_shown(dataset: Dataset) -> None:
    training = begun("dcgan, gan", dataset)
    for rounds in range(4):
        training.rounds(1)
        shown = 16 * rounds  # before the round
        for optimizer in (training.state.g_optimizer, training.state.d_optimizer):
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01 / (1 + 5 * shown / 1000))


def test_the_average_follows_weights_and_has_the_statistics_of_batches(dataset: Dataset) -> None:
    training = begun("dcgan, gan", dataset)
    training.rounds(1)
    state = training.state
    before = {name: value.clone() for name, value in state.g_ema.state_dict().items()}
    update_g_ema(state, 0.75)
    current = state.generator.state_dict()
    names = [name for name in before if before[name].is_floating_point()]
    assert any("running_var" in name for name in names)
    for name in names:
        kept = 0 if "running" in name else 0.75
        torch.testing.assert_close(
            state.g_ema.state_dict()[name],
            kept * before[name] + (1 - kept) * current[name],
            msg=name,
        )
    latents, labels = torch.randn(5, 6), torch.eye(3)[[0, 1, 2, 0, 1]]
    together = state.g_ema(latents, labels, 3)
    alone = state.g_ema(latents[2:3], labels[2:3], 3)
    torch.testing.assert_close(alone[0], together[2], rtol=1e-4, atol=1e-5)
