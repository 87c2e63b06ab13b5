"""The plan of a run, and options that change nothing together with the other settings."""

from typing import Any

import pytest

from progan.config import SECTIONS, Run, override
from progan.option_fields import list_option_fields
from progan.presets import PRESETS, preset
from progan.schedule import Stage
from progan.training import plan
from progan.training.plan import RESOLUTION_TABLES, RULES, describe_plan, list_ineffective_options
from tests.builders import tiny_run
from tests.for_each import for_each


def lines(name: str = "cpu", **values: Any) -> list[str]:
    return list_ineffective_options(override(preset(name), values), values)


def test_the_memory_is_that_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[tuple[int, int, int]]()

    def estimate(run: Run, stage: Stage, processes: int, micro_batch: int) -> int:
        asked.append((stage.batch, processes, micro_batch))
        return 2**30

    monkeypatch.setattr(plan, "estimate_step_bytes", estimate)
    run = tiny_run(batch=64)
    assert "iteration, without" in describe_plan(run)
    assert set(asked) == {(64, 1, 64)}
    asked.clear()
    assert "iteration in each of 4 processes, without" in describe_plan(run, 4)
    assert set(asked) == {(64, 4, 16)}


@for_each(
    ("values", "line"),
    [
        (
            dict(gp_target=2, objective="gan"),
            "--gp-target has no effect without --objective wgan-gp or dragan.",
        ),
        (
            dict(drift=0, objective="lsgan"),
            "--drift has no effect without --objective wgan-gp or wgan.",
        ),
        (
            dict(label_noise=0.1),
            "--label-noise has no effect without --objective gan or dragan or r1.",
        ),
        (
            dict(augment_zoom=0.5),
            "--augment-zoom has no effect without --augment fixed or adaptive.",
        ),
        (
            dict(augment="fixed", augment_p=0.1, augment_steps=9),
            "--augment-steps has no effect without --augment adaptive.",
        ),
        (
            dict(augment="adaptive", augment_color=0.5),
            "--augment-color has no effect without color in --augment-kinds.",
        ),
        (
            dict(low_precision_from=8),
            "--low-precision-from has no effect without --precision bf16 or fp16.",
        ),
        (
            dict(precision="bf16", low_precision_from=64),
            "--precision bf16 has no effect: --low-precision-from 64 is above the final "
            "resolution, 32. All of it is trained in fp32.",
        ),
        (dict(kernel=5), "--kernel has no effect without --kind dcgan."),
        (
            dict(batch_at=((64, 4), (8, 2))),
            "--batch-at has no effect at 64: the run trains from 4 to 32.",
        ),
        (
            dict(batch_at=((8, 4),), kind="dcgan"),
            "--batch-at has no effect at 8: the run trains at 32 alone.",
        ),
        (
            dict(initial_resolution=32, training_kimg=3),
            "--training-kimg has no effect without an --initial-resolution below the final one, in "
            "networks that grow.",
        ),
        (
            dict(initial_resolution=32, gp_resolution="trained"),
            "--gp-resolution has no effect without an --initial-resolution below the final one, in "
            "networks that grow.",
        ),
        (
            dict(gp_resolution="trained", objective="r1"),
            "--gp-resolution has no effect without --objective wgan-gp.",
        ),
        (
            dict(kind="dcgan", reset_optimizers=False),
            "--no-reset-optimizers has no effect without an --initial-resolution below the final "
            "one, in networks that grow.",
        ),
        (
            dict(adaptive_noise=True),
            "--adaptive-noise measures the scores of fakes against the targets of --objective "
            "lsgan, 0 and 1: with wgan-gp its strength means nothing.",
        ),
        (
            dict(objective="wgan", clip_weights=0.01, drift=0),
            "--clip-weights 0.01 limits the stored weights, which --equalized-lr multiplies by "
            "He's constant in each layer: hardly anything of an image reaches the score. Add "
            "--no-equalized-lr.",
        ),
        (
            dict(objective="wgan"),
            "--objective wgan without --clip-weights leaves the slope of the discriminator "
            "unlimited. Add --clip-weights 0.01 and --no-equalized-lr, or choose wgan-gp.",
        ),
        (
            dict(kind="autoencoder", objective="gan"),
            "--objective gan needs positive scores for real images, and those of --kind "
            "autoencoder are negative: minus the error of the reconstruction. Choose --objective "
            "wgan-gp, relativistic, ebgan or began.",
        ),
        (
            dict(kind="autoencoder", objective="began", augment="adaptive"),
            "--augment adaptive has no effect with --objective began, whose fakes score above the "
            "reals: an accuracy of 0 leaves the probability at 0. Choose --augment fixed.",
        ),
        (dict(label_weight=2), "--label-weight has no effect without --conditional."),
        (dict(detector="x.pt"), "--detector has no effect without --metrics."),
    ],
)
def test_what_has_no_effect_is_named_with_what_it_needs(values: dict[str, Any], line: str) -> None:
    assert lines(**values) == [line]


@pytest.mark.parametrize(
    "values",
    [
        {},
        dict(gp_target=2),
        dict(precision="bf16", low_precision_from=8),
        dict(batch=8, batch_at=()),
        dict(augment="adaptive", augment_zoom=0.5),
        dict(batch_at=((8, 4),)),
        dict(label_noise=0.1, objective="r1"),
        dict(beta1=0.5),
        dict(conditional=True, label_weight=2),
        dict(gp_resolution="trained", reset_optimizers=False),
        dict(adaptive_noise=True, objective="lsgan"),
        dict(objective="wgan", clip_weights=0.01, equalized_lr=False),
        dict(kind="autoencoder", objective="relativistic"),
    ],
)
def test_what_has_an_effect_is_not(values: dict[str, Any]) -> None:
    assert lines(**values) == []


@for_each("name", PRESETS)
def test_settings_of_a_preset_were_not_named(name: str) -> None:
    assert list_ineffective_options(preset(name), {}) == []


def test_rules_name_settings() -> None:
    known = {
        field.name for section in (Run, *SECTIONS.values()) for field in list_option_fields(section)
    }
    assert {name for rule in RULES for name in rule.names} | set(RESOLUTION_TABLES) <= known
