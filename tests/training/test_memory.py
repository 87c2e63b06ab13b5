"""Memory estimates against what can be counted by hand."""

from typing import Any

import pytest
import torch

from progan import schedule
from progan.batch_split import UNSHARDED
from progan.presets import preset
from progan.training.memory import PeakMemoryTracker, estimate_step_bytes
from progan.training.preflight import noise_batch, run_dummy_iteration
from progan.training.state import create_state
from progan.training.step import EAGER_STEPS
from tests.builders import tiny_run
from tests.training.equal_steps import CPU, tensors

MIB = 2**20


def test_live_bytes_follow_tensors_from_birth_to_death() -> None:
    with PeakMemoryTracker() as live:
        one = torch.empty(MIB, dtype=torch.uint8, device="meta")
        two = torch.empty(2 * MIB, dtype=torch.uint8, device="meta")
        view = two[:10]
        assert live.live == 3 * MIB
        del two
        assert live.live == 3 * MIB  # the view holds it
        del view, one
        assert live.live == 0
        torch.empty(MIB, dtype=torch.uint8, device="meta")
    assert live.peak == 3 * MIB


def test_what_backward_needs_is_counted() -> None:
    weight = torch.empty(MIB // 4, device="meta", requires_grad=True)
    with PeakMemoryTracker() as live:
        loss = weight.sin().cos().sum()  # the cosine's backward needs the sine, not the cosine
        assert MIB <= live.live < 2 * MIB
        del loss
        assert live.live == 0


def test_activations_grow_with_the_batch_and_weights_do_not() -> None:
    def at(batch: int) -> int:
        run = tiny_run(batch=batch)
        return estimate_step_bytes(run, schedule.stage_at(run.growth, run.network, 7000))

    # The two differences are equal: a constant for the weights, and a part for each image.
    assert at(96) - at(64) == at(64) - at(32) > 0


def test_the_paper_networks_keep_their_weights_seven_times() -> None:
    """G: weights, two moments, average; D: weights, two moments; and gradients of one of them."""
    run = preset("v2-1gpu")
    first = next(iter(schedule.iterate_phases(run.growth, run.network))).stage
    weights = 23_100_000 * 4
    assert 7 * weights < estimate_step_bytes(run, first) < 10 * weights


@pytest.mark.parametrize(
    "overrides",
    [
        *(
            dict(kind=kind, objective=objective)
            for kind, objective in (
                ("dcgan", "gan"),
                ("dcgan", "dragan"),
                ("dcgan", "wgan"),
                ("resnet", "wgan-gp"),
                ("autoencoder", "ebgan"),
                ("autoencoder", "began"),
                ("progressive", "relativistic"),
                ("stacked-mnist", "r1"),
                ("progressive", "lsgan"),
            )
        )
    ],
    ids=lambda o: " ".join(o.values()),
)
def test_every_kind_and_objective_can_be_estimated(overrides: dict[str, str]) -> None:
    run = tiny_run(**overrides)
    bytes_at = [
        estimate_step_bytes(run, phase.stage)
        for phase in schedule.iterate_phases(run.growth, run.network)
    ]
    assert len(bytes_at) == (5 if run.network.grows else 1) and min(bytes_at) > 0


def test_disturbed_features_are_kept_beside_the_plain_ones() -> None:
    plain, noisy = (
        tiny_run(objective="lsgan", dropout=0.5, adaptive_noise=noise) for noise in (False, True)
    )  # dropout: reals and fakes apart in both
    stage = schedule.stage_at(plain.growth, plain.network, 7000)
    features = 64 * 8 * 16 * 16 * 4  # images, maps, pixels, bytes of one convolution's input
    assert estimate_step_bytes(noisy, stage) > estimate_step_bytes(plain, stage) + features


@pytest.mark.parametrize("precision", ("fp32", "bf16", "fp16"))
@pytest.mark.parametrize(
    "overrides",
    (
        dict(label_size=3),
        dict(augment="adaptive"),
        dict(kind="dcgan", objective="gan", stddev_group=0),
    ),
    ids=lambda overrides: " ".join(overrides),
)
def test_estimates_are_those_of_real_steps(precision: str, overrides: dict[str, Any]) -> None:
    """But for 3 %: real autocast lowers dense layers, too."""
    run = tiny_run(**overrides, precision=precision, batch=32)
    stage = next(
        phase.stage
        for phase in schedule.iterate_phases(run.growth, run.network)
        if phase.stage.level == 4
    )
    state, batch = create_state(run, CPU), noise_batch(run, stage, UNSHARDED)
    run_dummy_iteration(state, run, stage, batch, EAGER_STEPS)  # makes the moments
    kept = {id(x): x.nbytes for x in tensors(state).values()}
    with PeakMemoryTracker() as live:
        run_dummy_iteration(state, run, stage, batch, EAGER_STEPS)
    assert sum(kept.values()) + live.peak == pytest.approx(
        estimate_step_bytes(run, stage), rel=0.03
    )


@pytest.mark.parametrize("precision", ("bf16", "fp16"))
def test_half_precision_needs_less(precision: str) -> None:
    full, half = (tiny_run(precision=each) for each in ("fp32", precision))
    stage = schedule.stage_at(full.growth, full.network, 7000)
    assert estimate_step_bytes(half, stage) < 0.75 * estimate_step_bytes(full, stage)
    above = tiny_run(precision=precision, low_precision_from=32)
    assert estimate_step_bytes(above, stage) == estimate_step_bytes(full, stage)
