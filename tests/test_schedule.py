"""The schedule against the official one, facts of the paper, and an independent walk."""

import csv
import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from progan.config import Growth, Network
from progan.presets import PRESETS, preset
from progan.schedule import (
    Stage,
    images_per_round,
    iterate_boundary_rounds,
    iterate_phases,
    iterate_rounds,
    last_stage,
    lookup_exact_resolution,
    stage_at,
)
from tests.for_each import for_each

# Every preset, and the shortest fades.
PLANS = {name: (preset(name).growth, preset(name).network) for name in PRESETS} | {
    "no fades": (
        Growth(batch_at=((4, 16), (8, 8)), training_kimg=0.09, transition_kimg=0, total_kimg=0.4),
        Network(resolution=16),
    )
}
OFFICIAL = ("v1-1gpu", "v2-1gpu", "v2-2gpus", "v2-4gpus", "v2-8gpus")


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Growth, Network]:
    """Any growth, in steps of 10 images: few of them are whole binary fractions of a kimg."""
    last = draw(st.integers(2, 10))
    first = draw(st.integers(2, last))
    training, transition = draw(st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(any))
    sizes = st.lists(
        st.tuples(st.integers(2, last).map(lambda level: 1 << level), st.integers(1, 64)),
        unique_by=lambda row: row[0],
    )
    return Growth(
        fade_first=draw(st.booleans()),
        initial_resolution=1 << first,
        training_kimg=training / 100,
        transition_kimg=transition / 100,
        total_kimg=draw(st.integers(1, 800)) / 100,
        batch=draw(st.integers(1, 64)),
        batch_at=tuple(draw(sizes)),
        minibatch_repeats=draw(st.integers(1, 4)),
        d_repeats=draw(st.integers(1, 3)),
    ), Network(resolution=1 << last)


def walked(growth: Growth, network: Network, images_seen: int) -> float:
    """Levels grown so far, by walking through the phases and counting whole images."""
    training, transition = (
        round(kimg * 1000) for kimg in (growth.training_kimg, growth.transition_kimg)
    )
    resolution, left = growth.initial_resolution, images_seen + training * growth.fade_first
    level = math.log2(resolution)
    while resolution < network.resolution and left >= training:
        left -= training
        if left < transition:
            return level + left / transition
        left, level, resolution = left - transition, level + 1, resolution * 2
    return level


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_official_row_to_the_digit(shared: Path, name: str) -> None:
    run = preset(name)
    with (shared / "golden/schedule" / f"preset-{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 300
    for row in rows:
        stage = stage_at(run.growth, run.network, int(row["cur_nimg"]))
        expected = [
            float(row[key])
            for key in ("lod", "resolution", "minibatch", "G_lrate", "D_lrate", "tick_kimg")
        ]
        assert [
            stage.lod,
            stage.resolution,
            stage.batch,
            stage.g_lr,
            stage.d_lr,
            stage.tick_kimg,
        ] == expected, row


# Appendix A.1: 600 kimg stable, then 600 kimg of fading (v1: 800); batches and rates per size.
@for_each(
    ("name", "kimg", "resolution", "alpha", "batch", "rate", "tick_kimg"),
    [
        ("v2-1gpu", 0, 4, 1, 128, 0.001, 160),
        ("v2-1gpu", 600, 4, 1, 128, 0.001, 160),
        ("v2-1gpu", 900, 8, 0.5, 128, 0.001, 140),
        ("v2-1gpu", 1200, 8, 1, 128, 0.001, 140),
        ("v2-1gpu", 3150, 32, 0.25, 64, 0.001, 100),
        ("v2-1gpu", 4500, 64, 0.5, 32, 0.001, 80),
        ("v2-1gpu", 8100, 512, 0.5, 4, 0.001, 20),
        ("v2-1gpu", 9450, 1024, 0.75, 4, 0.0015, 10),
        ("v2-1gpu", 9600, 1024, 1, 4, 0.0015, 10),
        ("v2-8gpus", 5700, 128, 0.5, 32, 0.0015, 60),
        ("v2-8gpus", 12000, 1024, 1, 32, 0.003, 10),
        ("v1-1gpu", 800, 4, 1, 16, 0.001, 160),
        ("v1-1gpu", 12000, 512, 1, 6, 0.001, 20),
        ("v1-1gpu", 12400, 1024, 0.5, 3, 0.001, 10),
        ("v1-1gpu", 12800, 1024, 1, 3, 0.001, 10),
    ],
)
def test_facts_of_the_paper(
    name: str, kimg: int, resolution: int, alpha: float, batch: int, rate: float, tick_kimg: float
) -> None:
    run = preset(name)
    stage = stage_at(run.growth, run.network, kimg * 1000)
    assert (stage.resolution, stage.alpha, stage.batch) == (resolution, alpha, batch)
    assert (stage.g_lr, stage.d_lr, stage.tick_kimg) == (rate, rate, tick_kimg)
    assert stage.fading == (alpha < 1)


@given(schedules(), st.integers(0, 10_000))
def test_an_independent_walk_agrees(plan: tuple[Growth, Network], images_seen: int) -> None:
    # Without fading the level jumps, at a border that floating point may miss by one image.
    assume(plan[0].transition_kimg or images_seen % round(plan[0].training_kimg * 1000))
    stage = stage_at(*plan, images_seen)
    assert stage.level - 1 + stage.alpha == pytest.approx(walked(*plan, images_seen), abs=1e-9)


@given(schedules(), st.lists(st.integers(0, 10_000), min_size=2, max_size=20))
def test_nothing_ever_goes_back(plan: tuple[Growth, Network], times: list[int]) -> None:
    stages = [stage_at(*plan, images_seen) for images_seen in sorted(times)]
    for earlier, later in pairwise(stages):
        assert later.lod <= earlier.lod
        assert later.phase >= earlier.phase
        assert later.level >= earlier.level
    assert all(0 < stage.alpha <= 1 for stage in stages)


@given(schedules(), st.integers(0, 10_000))
def test_lod_is_the_official_clock(plan: tuple[Growth, Network], images_seen: int) -> None:
    stage = stage_at(*plan, images_seen)
    assert stage.lod == pytest.approx(plan[1].max_level - stage.level + 1 - stage.alpha, abs=1e-12)


@given(schedules(), st.integers(0, 10_000))
def test_the_phase_changes_exactly_with_the_rounded_lods(
    plan: tuple[Growth, Network], images_seen: int
) -> None:
    """Official: the optimizers are reset when floor(lod) or ceil(lod) changes."""

    def rounded(stage: Stage) -> tuple[int, int]:
        return int(stage.lod // 1), int(-(-stage.lod // 1))

    before, after = (
        stage_at(*plan, images_seen),
        stage_at(*plan, images_seen + 1 + images_seen // 7),
    )
    assert (before.phase == after.phase) == (rounded(before) == rounded(after))


@given(schedules())
def test_phases_tile_the_run_and_agree_with_the_clock(plan: tuple[Growth, Network]) -> None:
    growth, network = plan
    found = list(iterate_phases(growth, network))
    assert found[0].start_kimg == 0
    assert found[-1].end_kimg == growth.total_kimg
    for earlier, later in pairwise(found):
        assert earlier.end_kimg == later.start_kimg
        assert earlier.stage.phase < later.stage.phase
    for phase in found:
        assert phase.kimg > 0
        # A phase shorter than two images has no image in the middle.
        if phase.kimg > 0.002:
            now = stage_at(growth, network, round((phase.start_kimg + phase.end_kimg) * 500))
            assert (now.level, now.fading, now.phase, now.batch, now.g_lr) == (
                phase.stage.level,
                phase.stage.fading,
                phase.stage.phase,
                phase.stage.batch,
                phase.stage.g_lr,
            )


@settings(max_examples=30)
@given(schedules(), st.data())
def test_rounds_continue_from_any_of_their_beginnings(
    plan: tuple[Growth, Network], data: st.DataObject
) -> None:
    growth, network = plan
    whole = list(iterate_rounds(growth, network, 0))
    start = data.draw(st.integers(0, len(whole) - 1))
    assert list(iterate_rounds(growth, network, whole[start][0])) == whole[start:]


@settings(max_examples=30)
@given(schedules(), st.data())
def test_rounds_continue_from_any_of_their_steps(
    plan: tuple[Growth, Network], data: st.DataObject
) -> None:
    """A round that was left in the middle comes first again; its end begins the next one."""
    growth, network = plan
    whole = list(iterate_rounds(growth, network, 0))
    number = data.draw(st.integers(0, len(whole) - 1))
    start, stage = whole[number]
    steps = growth.minibatch_repeats * growth.d_repeats
    step = data.draw(st.integers(0, steps))
    left = whole[number + (step == steps) :]
    assert list(iterate_rounds(growth, network, start + step * stage.batch, start)) == left


def test_what_is_no_step_of_a_round_begins_a_new_one() -> None:
    growth = Growth(total_kimg=1, batch=10, minibatch_repeats=3)
    for images_seen in (95, 105, 130, 140):
        assert next(iterate_rounds(growth, Network(), images_seen, 100))[0] == images_seen


@settings(max_examples=30)
@given(schedules())
def test_rounds_count_the_images_of_the_critic(plan: tuple[Growth, Network]) -> None:
    growth, network = plan
    whole = list(iterate_rounds(growth, network, 0))
    assert whole[0][0] == 0
    for (seen, stage), (seen_next, _) in pairwise(whole):
        assert seen_next - seen == stage.batch * growth.minibatch_repeats * growth.d_repeats
    assert whole[-1][0] < growth.total_kimg * 1000
    assert all(stage == stage_at(growth, network, seen) for seen, stage in whole)


def test_a_finished_run_has_no_more_rounds() -> None:
    growth = Growth(total_kimg=1)
    assert list(iterate_rounds(growth, Network(), 1000)) == []
    assert [seen for seen, _ in iterate_rounds(growth, Network(), 999)] == [999]


def test_growth_without_fading_jumps_from_size_to_size() -> None:
    growth = Growth(training_kimg=1, transition_kimg=0, total_kimg=4)
    network = Network(resolution=16)
    seen = [stage_at(growth, network, images) for images in (0, 999, 1000, 1999, 2000, 9000)]
    assert [stage.resolution for stage in seen] == [4, 4, 8, 8, 16, 16]
    assert {stage.alpha for stage in seen} == {1.0}
    assert [phase.stage.resolution for phase in iterate_phases(growth, network)] == [4, 8, 16]


def test_a_late_start_fades_in_only_what_follows() -> None:
    growth, network = Growth(initial_resolution=64), Network(resolution=128)
    assert [
        (phase.stage.resolution, phase.stage.fading, phase.start_kimg)
        for phase in iterate_phases(growth, network)
    ] == [(64, False, 0), (128, True, 600), (128, False, 1200)]


def test_a_run_that_fades_first_leaves_out_the_first_phase_alone() -> None:
    growth, network = Growth(initial_resolution=64, fade_first=True), Network(resolution=256)
    assert [
        (phase.stage.resolution, phase.stage.fading, phase.start_kimg)
        for phase in iterate_phases(growth, network)
    ] == [(128, True, 0), (128, False, 600), (256, True, 1200), (256, False, 1800)]
    assert [
        (stage.resolution, stage.alpha)
        for stage in (stage_at(growth, network, kimg * 1000) for kimg in (0, 150, 600, 1200, 1500))
    ] == [(64, 1), (128, 0.25), (128, 1), (128, 1), (256, 0.5)]


def test_tables_hold_for_exactly_their_resolution() -> None:
    table = ((8, 5), (32, 7))
    found = [lookup_exact_resolution(table, resolution, 1) for resolution in (4, 8, 16, 32, 64)]
    assert found == [1, 5, 1, 7, 1]


def test_rates_decay_with_the_images_that_were_seen() -> None:
    """rate / (1 + decay * kimg), as the `decay` of Keras' optimizers; 0 keeps the rate."""
    growth = Growth(total_kimg=100, g_lr=0.004, d_lr=0.002, lr_decay=0.05)
    rates = [
        (stage.g_lr, stage.d_lr)
        for stage in (stage_at(growth, Network(), images) for images in (0, 20_000, 100_000))
    ]
    assert rates[:2] == [(0.004, 0.002), (0.002, 0.001)]
    assert rates[2] == pytest.approx((0.004 / 6, 0.002 / 6))
    kept = stage_at(replace(growth, lr_decay=0.0), Network(), 100_000)
    assert (kept.g_lr, kept.d_lr) == (0.004, 0.002)


def test_rates_fall_to_0_in_the_cooldown() -> None:
    """In the last 40 % of 100 kimg, beside the decay; a longer run begins to cool down later."""
    growth = Growth(total_kimg=100, g_lr=0.004, d_lr_at=((8, 0.002),), cooldown=0.4)
    network = Network(resolution=8)
    kimg = (0, 60, 70, 80, 99, 100, 101)
    stages = [
        stage_at(replace(growth, training_kimg=5, transition_kimg=5), network, each * 1000)
        for each in kimg
    ]
    shares = [1, 1, 0.75, 0.5, 0.025, 0, 0]
    assert [stage.g_lr for stage in stages] == pytest.approx([0.004 * share for share in shares])
    assert [stage.d_lr for stage in stages[1:]] == pytest.approx(
        [0.002 * share for share in shares[1:]]
    )
    assert stage_at(replace(growth, total_kimg=200), network, 70_000).g_lr == 0.004
    assert stage_at(replace(growth, lr_decay=0.05), network, 80_000).g_lr == pytest.approx(0.0004)


def test_phases_have_the_rates_of_their_beginnings() -> None:
    growth = Growth(
        training_kimg=5, transition_kimg=5, total_kimg=100, lr_decay=0.05, cooldown=0.99
    )
    network = Network(resolution=16)
    phases = list(iterate_phases(growth, network))
    assert [(phase.stage.g_lr, phase.stage.d_lr) for phase in phases] == [
        (stage.g_lr, stage.d_lr)
        for stage in (stage_at(growth, network, round(1000 * phase.start_kimg)) for phase in phases)
    ]
    assert len({phase.stage.g_lr for phase in phases}) == len(phases) == 5


@for_each("name", PLANS)
def test_the_last_stage_is_that_of_the_round_before(name: str) -> None:
    """Where batches of two sizes could have ended at the same image, too."""
    growth, network = PLANS[name]
    for start, stage in iterate_boundary_rounds(growth, network):
        end = start + images_per_round(growth, stage)
        assert last_stage(growth, network, end, end, stage.phase) == stage


@pytest.mark.parametrize(
    ("images_seen", "level"), [(3_000_320, 4), (4_200_192, 5), (6_600_064, 7), (7_800_032, 8)]
)
def test_the_last_stage_at_ambiguous_ends_of_rounds(images_seen: int, level: int) -> None:
    run = preset("v2-1gpu")
    phase = 2 * (level - 2)
    found = last_stage(run.growth, run.network, images_seen, images_seen, phase)
    assert (found.level, found.alpha) == (level, 1)
