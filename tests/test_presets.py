"""Presets hold what the paper and the official code say."""

import dataclasses

import pytest

from progan import schedule
from progan.config import SECTIONS, Run
from progan.errors import UserError
from progan.option_fields import list_option_fields
from progan.presets import PRESETS, preset
from tests.for_each import for_each

KNOWN = {
    field.name for section in (Run, *SECTIONS.values()) for field in list_option_fields(section)
}


@for_each("name", PRESETS)
def test_every_preset_is_a_valid_run_that_reaches_its_resolution(name: str) -> None:
    run = preset(name)
    assert run.preset == name
    last = list(schedule.iterate_phases(run.growth, run.network))[-1].stage
    assert (last.resolution, last.fading) == (run.network.resolution, False)


@for_each("name", PRESETS)
def test_presets_name_only_settings_that_exist(name: str) -> None:
    assert set(PRESETS[name]) <= KNOWN


@for_each("name", PRESETS)
def test_presets_set_what_they_name(name: str) -> None:
    run = preset(name)
    held = {
        field.name: getattr(section, field.name)
        for section in (run, *(getattr(run, part) for part in SECTIONS))
        for field in list_option_fields(type(section))
    }
    assert {key: held[key] for key in PRESETS[name]} == PRESETS[name]


def test_official_presets() -> None:
    v1, v2 = preset("v1-1gpu"), preset("v2-1gpu")
    assert (v1.network.stddev_group, v2.network.stddev_group) == (16, 4)
    assert (v1.growth.training_kimg, v1.growth.transition_kimg) == (800, 800)
    assert (v2.growth.training_kimg, v2.growth.transition_kimg) == (600, 600)
    assert (v1.growth.total_kimg, v2.growth.total_kimg) == (19000, 12000)
    for name in ("v1-1gpu", "v2-1gpu", "v2-2gpus", "v2-4gpus", "v2-8gpus"):
        run = preset(name)
        assert (run.network.resolution, run.network.latent_size) == (1024, 512)
        assert (run.optim.beta1, run.optim.beta2, run.optim.epsilon, run.optim.ema_decay) == (
            0.0,
            0.99,
            1e-8,
            0.999,
        )
        assert (run.loss.gp_weight, run.loss.gp_target, run.loss.drift) == (10, 1, 0.001)
        assert (run.growth.minibatch_repeats, run.growth.d_repeats) == (4, 1)


@pytest.mark.parametrize(
    ("name", "batches"),
    [
        ("v1-1gpu", [16, 16, 16, 16, 16, 16, 14, 6, 3]),
        ("v2-1gpu", [128, 128, 128, 64, 32, 16, 8, 4, 4]),
        ("v2-8gpus", [512, 256, 128, 64, 32, 32, 32, 32, 32]),
    ],
)
def test_batches_from_4x4_to_1024x1024(name: str, batches: list[int]) -> None:
    run = preset(name)
    growth = dataclasses.replace(run.growth, training_kimg=1, transition_kimg=0)
    assert [
        schedule.stage_at(growth, run.network, 1000 * period).batch for period in range(9)
    ] == batches


def test_modern_presets_are_v2_with_a_weak_lazy_penalty_in_bf16() -> None:
    modern, v2 = preset("modern-1024"), preset("v2-1gpu")
    assert (modern.growth, modern.network, modern.optim) == (v2.growth, v2.network, v2.optim)
    assert (modern.loss.gp_weight, modern.loss.penalty_interval) == (0.5, 4)
    assert modern.precision == "bf16"
    for resolution in (32, 64, 128, 256, 512):
        growth = preset(f"modern-{resolution}").growth
        below = 2 * 600 * (resolution.bit_length() - 3)
        assert growth.total_kimg - below == 2400


def test_cifar10_asks_for_steep_gradients() -> None:
    run = preset("cifar10")
    assert (run.loss.gp_target, run.network.resolution) == (750, 32)  # appendix D


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("v2-1gpus", "v2-1gpu"),
        ("cifar-10", "cifar10"),
        ("celeba128", "celeba-128"),
        ("mist", "mnist"),
    ],
)
def test_an_unknown_preset_is_answered_with_the_nearest_and_all(typed: str, meant: str) -> None:
    with pytest.raises(UserError) as caught:
        preset(typed)
    assert f"Unknown preset {typed!r}. Did you mean {meant}?" in str(caught.value)
    assert all(name in str(caught.value) for name in PRESETS)


def test_nonsense_gets_no_guess() -> None:
    with pytest.raises(UserError, match=r"Unknown preset 'xyzzy'\. Presets: v1-1gpu, "):
        preset("xyzzy")
