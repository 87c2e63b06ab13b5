"""Which resolutions a run trains, and what --scale-schedule makes of a preset."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from progan import schedule
from progan.config import Growth, Network, Run, override
from progan.errors import UserError
from progan.presets import PRESETS, preset
from progan.training.run_length import (
    describe_end,
    explain_shortfall,
    is_complete,
    scale_schedule,
    suggest_shorter_total,
)
from tests.for_each import for_each
from tests.test_schedule import schedules


@settings(max_examples=100)
@given(schedules())
def test_landmarks_are_some_of_the_rounds_with_the_first_and_the_last(
    plan: tuple[Growth, Network],
) -> None:
    whole, some = (
        list(schedule.iterate_rounds(*plan, 0)),
        list(schedule.iterate_boundary_rounds(*plan)),
    )
    assert set(some) <= set(whole)
    assert (some[0], some[-1]) == (whole[0], whole[-1])
    assert {stage.phase for _, stage in some} == {stage.phase for _, stage in whole}


def test_landmarks_of_a_long_run_are_few() -> None:
    run = preset("v2-1gpu")
    assert len(list(schedule.iterate_boundary_rounds(run.growth, run.network))) < 100


@for_each("name", PRESETS)
def test_presets_train_their_resolution_fully(name: str) -> None:
    assert explain_shortfall(preset(name)) == ""


CPU = override(preset("cpu"), {"batch": 10})  # phases of 10 kimg: 4, 8, 16, 32 px from kimg 60 on


@pytest.mark.parametrize(
    ("total_kimg", "words"),
    [
        (5, "at 4x4 of 32x32"),
        (10, "at 4x4 of 32x32"),
        (15, "in the fade to 8x8 of 32x32, at 50%"),
        (35, "in the fade to 16x16 of 32x32, at 50%"),
        (49, "at 16x16 of 32x32"),
        (55, "in the fade to 32x32, at 50%"),
        (65, "at 32x32"),
    ],
)
def test_where_a_run_ends(total_kimg: float, words: str) -> None:
    run = override(CPU, {"total_kimg": total_kimg})
    assert describe_end(run) == words
    assert "--total-kimg 70 trains it fully" in explain_shortfall(run)
    assert ("starts at kimg 50, is faded in at kimg 60" in explain_shortfall(run)) == (
        total_kimg < 60
    )
    assert not is_complete(run)


def test_the_total_that_is_named_is_enough() -> None:
    assert is_complete(override(CPU, {"total_kimg": 70}))
    assert not is_complete(override(CPU, {"total_kimg": 69}))


def test_phases_shorter_than_a_round_are_not_taken_for_trained() -> None:
    run = override(
        preset("v2-1gpu"),
        {"resolution": 32, "training_kimg": 0.01, "transition_kimg": 0.01, "total_kimg": 0.3},
    )
    assert "at 4x4 of 32x32" in explain_shortfall(run)
    assert "starts at kimg 0.512" in explain_shortfall(run)


@for_each("name", [name for name in PRESETS if preset(name).grows])
@for_each("resolution", [16, 32, 64, 1024])
@for_each("factor", [0.05, 0.5, 1, 3])
def test_the_final_resolution_keeps_its_share(name: str, resolution: int, factor: float) -> None:
    own = preset(name)
    run = scale_schedule(
        override(own, {"resolution": resolution, "total_kimg": own.growth.total_kimg * factor}), ()
    )
    assert share(run) == pytest.approx(share(own), rel=0.01)
    assert explain_shortfall(run) == ""
    assert run.growth.training_kimg / run.growth.transition_kimg == pytest.approx(1, rel=1e-3)


def share(run: Run) -> float:
    return 1 - schedule.compute_fully_grown_kimg(run.growth, run.network) / run.growth.total_kimg


def test_no_resolution_is_trained_for_longer_than_the_final_one() -> None:
    run = scale_schedule(override(preset("v2-1gpu"), {"resolution": 8, "total_kimg": 300}), ())
    assert (run.growth.training_kimg, run.growth.transition_kimg) == (100, 100)


def test_the_preset_itself_stays_as_it_is() -> None:
    assert scale_schedule(preset("v2-1gpu"), ()) == preset("v2-1gpu")


def test_ticks_are_shortened_as_phases_are_and_not_lengthened() -> None:
    own = preset("v2-1gpu")
    short = scale_schedule(override(own, {"total_kimg": 120}), ()).growth
    assert short.tick_kimg_at[:2] == ((4, 1.6), (8, 1.4)) and short.tick_kimg == 1.6
    long = scale_schedule(override(own, {"total_kimg": 24000}), ()).growth
    assert long.tick_kimg_at == own.growth.tick_kimg_at
    chosen = scale_schedule(
        override(own, {"total_kimg": 120, "tick_kimg": 3, "tick_kimg_at": ()}),
        ("tick_kimg", "tick_kimg_at"),
    ).growth
    assert (chosen.tick_kimg, chosen.tick_kimg_at) == (3, ())


@pytest.mark.parametrize(
    ("name", "changes", "explicit", "said"),
    [
        ("cpu", {}, ("training_kimg",), "--training-kimg sets it"),
        ("dcgan", {}, (), "trains 64x64 alone"),
        ("table1-a", {"resolution": 256}, (), "trains one resolution alone"),
        ("v2-1gpu", {"total_kimg": 0.5, "resolution": 32}, (), "0.5 is too short"),
    ],
)
def test_what_cannot_be_scaled_is_refused(
    name: str, changes: dict[str, Any], explicit: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        scale_schedule(override(preset(name), changes), explicit)


def test_a_dataset_of_smaller_images_is_told_what_the_total_means() -> None:
    run = override(preset("v2-1gpu"), {"resolution": 64})
    note = suggest_shorter_total(run)
    assert "1024x1024" in note and "gets 20% of them; 64x64 gets 60%" in note
    assert "--total-kimg 6000 keeps" in note
    chosen = replace(run, growth=replace(run.growth, total_kimg=6000))
    assert share(chosen) == pytest.approx(0.2) and suggest_shorter_total(chosen) == ""
    assert suggest_shorter_total(preset("v2-1gpu")) == ""
