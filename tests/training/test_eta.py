"""Times that are still to come, from speeds and the schedule."""

import math

import pytest

from progan.networks.cost import multiply_adds
from progan.training.eta import Forecast, remaining_seconds
from tests.builders import tiny_run

RUN = tiny_run()  # 4: 1.5 kimg; 8: fade 1.5, 1.5; 16: fade 1.5, and the last 1.5 of 7.5 kimg


def test_with_all_speeds_known_it_is_a_sum() -> None:
    speeds = {2: 0.001, 3: 0.002, 4: 0.004}
    phase, total = remaining_seconds(RUN.growth, RUN.network, 1000, speeds)
    assert math.isclose(phase, 500 * 0.001)
    assert math.isclose(total, 500 * 0.001 + 3000 * 0.002 + 3000 * 0.004)


def test_a_level_to_come_costs_as_much_more_as_it_multiplies_more() -> None:
    speeds = {2: 0.001, 3: 0.002}
    _, total = remaining_seconds(RUN.growth, RUN.network, 4500, speeds)
    ratio = multiply_adds(RUN.network, 4) / multiply_adds(RUN.network, 3)
    assert math.isclose(total, 3000 * 0.002 * ratio)


def test_what_was_expected_says_how_much_more_a_level_to_come_costs() -> None:
    expected = {2: 0.01, 3: 0.015, 4: 0.03}
    _, total = remaining_seconds(RUN.growth, RUN.network, 1500, {2: 0.002}, expected)
    assert math.isclose(total, 3000 * 0.003 + 3000 * 0.006)
    forecast = Forecast(RUN.growth, RUN.network, expected)
    forecast.measure(2, 1500, 3.0)
    assert math.isclose(forecast.remaining_seconds(1500)[1], total)


@pytest.mark.parametrize("images_seen", [7500, 7600])
def test_at_the_end_nothing_remains(images_seen: int) -> None:
    assert remaining_seconds(RUN.growth, RUN.network, images_seen, {4: 1.0}) == (0.0, 0.0)


def test_the_forecast_averages_what_it_measured() -> None:
    forecast = Forecast(RUN.growth, RUN.network)
    assert forecast.remaining_seconds(0) == (0.0, 0.0)
    forecast.measure(4, 100, 1.0)
    forecast.measure(4, 300, 1.0)
    assert math.isclose(forecast.remaining_seconds(7000)[1], 500 * 2 / 400)
