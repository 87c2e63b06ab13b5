"""Times that are still to come, from speeds and the schedule."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from progan import schedule
from progan.config import Run
from progan.networks.inspection import multiply_adds
from progan.training import progress
from progan.training.progress import EtaEstimator, Progress, remaining_seconds
from tests.builders import tiny_run

RUN = tiny_run()  # 4: 1.5 kimg; 8: fade 1.5, 1.5; 16: fade 1.5, and the last 1.5 of 7.5 kimg


def test_with_all_speeds_known_it_is_a_sum() -> None:
    speeds = {2: 0.001, 3: 0.002, 4: 0.004}
    phase, total = remaining_seconds(RUN.growth, RUN.network, 1000, speeds)
    assert math.isclose(phase, 500 * 0.001)
    assert math.isclose(total, 500 * 0.001 + 3000 * 0.002 + 3000 * 0.004)


def test_pauses_between_ticks_count() -> None:
    """Of 1 kimg each, and two seconds."""
    phase, total = remaining_seconds(
        RUN.growth, RUN.network, 1000, {2: 0, 3: 0, 4: 0}, seconds_per_pause=2
    )
    assert math.isclose(phase, 1) and math.isclose(total, 13)


def test_a_level_to_come_costs_as_much_more_as_it_multiplies_more() -> None:
    speeds = {2: 0.001, 3: 0.002}
    _, total = remaining_seconds(RUN.growth, RUN.network, 4500, speeds)
    ratio = multiply_adds(RUN.network, 4) / multiply_adds(RUN.network, 3)
    assert math.isclose(total, 3000 * 0.002 * ratio)


def test_what_was_expected_says_how_much_more_a_level_to_come_costs() -> None:
    expected = {2: 0.01, 3: 0.015, 4: 0.03}
    _, total = remaining_seconds(RUN.growth, RUN.network, 1500, {2: 0.002}, expected)
    assert math.isclose(total, 3000 * 0.003 + 3000 * 0.006)


def test_before_anything_was_measured_what_was_expected_holds() -> None:
    expected = {2: 0.01, 3: 0.015, 4: 0.03}
    forecast = EtaEstimator(RUN.growth, RUN.network, expected)
    everything = 1500 * 0.01 + 3000 * 0.015 + 3000 * 0.03
    assert math.isclose(forecast.remaining_seconds(0)[1], everything)
    forecast.measure(2, 1, 60.0)  # the first step, with compilation
    assert math.isclose(forecast.remaining_seconds(0)[1], everything)


@pytest.mark.parametrize("images_seen", [7500, 7600])
def test_at_the_end_nothing_remains(images_seen: int) -> None:
    assert remaining_seconds(RUN.growth, RUN.network, images_seen, {4: 1.0}) == (0.0, 0.0)


def test_the_forecast_averages_what_it_measured() -> None:
    forecast = EtaEstimator(RUN.growth, RUN.network)
    assert forecast.remaining_seconds(0) == (0.0, 0.0)
    forecast.measure(4, 100, 9.0)
    assert math.isclose(forecast.remaining_seconds(7000)[1], 500 * 9.0 / 100)
    forecast.measure(4, 100, 1.0)
    forecast.measure(4, 300, 1.0)
    assert math.isclose(forecast.remaining_seconds(7000)[1], 500 * 2 / 400)


@dataclass
class Machine:
    """How long steps and pauses take on a machine, by a seeded generator of random numbers."""

    seconds_per_image: Mapping[int, float]  # by level
    noise: float = 0.3  # standard deviation of the logarithm of a round's time
    stall_every: float = 100.0  # seconds
    stall: float = 10.0
    first_round: float = 40.0  # of a level, in addition
    slows_at: float = math.inf  # seconds from the start, and is half as fast from then on
    pause: float = 0.5  # after each tick
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def round_seconds(self, level: int, images: int, first: bool, now: float) -> float:
        mean = images * self.seconds_per_image[level] * (2 if now > self.slows_at else 1)
        seconds = mean * self.chance.lognormvariate(-(self.noise**2) / 2, self.noise)
        stalls = self.chance.random() < mean / self.stall_every
        return seconds + self.stall * stalls + self.first_round * first


class Moment(NamedTuple):
    """An estimate while a simulated training goes on."""

    now: float
    since_level: float  # seconds
    level: int
    estimate: float


def simulate(
    run: Run, machine: Machine, expected: Mapping[int, float], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[Moment], float]:
    """Train on a simulated clock: what was estimated every few seconds, and when it ended."""
    now = 0.0
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now)
    shown = Progress(run, 0, expected, shown=False)
    moments, level, entered, tick_start = [], 0, 0.0, 0
    for start, stage in schedule.iterate_rounds(run.growth, run.network, 0):
        images = schedule.images_per_round(run.growth, stage)
        first = stage.level != level
        if first:
            level, entered = stage.level, now
        now += machine.round_seconds(level, images, first, now)
        seen = start + images
        shown.update(stage, seen)
        if not moments or now > moments[-1].now + 5:
            moments.append(Moment(now, now - entered, level, shown.eta.remaining_seconds(seen).run))
        if seen >= tick_start + stage.tick_kimg * 1000:
            now, tick_start = now + machine.pause, seen
            shown.restart(seen)
    return moments, now


GROWING = tiny_run(
    resolution=32, total_kimg=100, training_kimg=10, transition_kimg=10, batch=16,
    minibatch_repeats=2, tick_kimg=2,
)  # fmt: skip
TRUE = {2: 0.02, 3: 0.04, 4: 0.1, 5: 0.25}  # 200 s at 4x4, 10000 s at 32x32
ONE_LEVEL = tiny_run(
    resolution=32, initial_resolution=32, total_kimg=20, tick_kimg=2, batch=4, minibatch_repeats=2
)
ROUGH = {2: 0.01, 3: 0.024, 4: 0.05, 5: 0.15}  # as measured alone, without data and noise


def worst(moments: list[Moment], end: float, counts: Callable[[Moment], bool]) -> float:
    """Largest ratio of the time left and its estimate, either way; not in the last seconds."""
    ratios = [
        moment.estimate / (end - moment.now)
        for moment in moments
        if counts(moment) and end - moment.now > 20
    ]
    assert len(ratios) > 50
    return max(max(ratio, 1 / ratio) for ratio in ratios)


@pytest.mark.parametrize("expected", [TRUE, ROUGH], ids=["true", "rough"])
@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_a_minute_after_the_start_of_a_level_the_estimate_is_right_within_a_factor_of_two(
    noise: float, expected: Mapping[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, end = simulate(GROWING, Machine(TRUE, noise=noise), expected, monkeypatch)
    assert {moment.level for moment in moments} == {2, 3, 4, 5} and end > 10_000
    assert worst(moments, end, lambda moment: moment.since_level > 60) < 2


@pytest.mark.parametrize("slows_at", [150.0, 900.0, 3000.0])
def test_a_machine_that_gets_slower_is_noticed_within_a_minute(
    slows_at: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, end = simulate(GROWING, Machine(TRUE, slows_at=slows_at), TRUE, monkeypatch)
    assert (
        worst(moments, end, lambda moment: moment.since_level > 60 and moment.now > slows_at + 60)
        < 2
    )


@pytest.mark.parametrize(
    "expected", [{}, {5: 1.0}, {5: 0.05}], ids=["nothing", "4 times slower", "5 times faster"]
)
def test_a_run_of_one_level_whatever_was_expected(
    expected: Mapping[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    moments, end = simulate(ONE_LEVEL, Machine(TRUE), expected, monkeypatch)
    assert worst(moments, end, lambda moment: moment.since_level > 60) < 2
