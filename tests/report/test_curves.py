"""The numbers that the page draws."""

import json
import math
from pathlib import Path

import pytest

from progan.diagnosis.curves import GrowthPhase
from progan.report.curves import Chart, build_section, chart_data, downsample, make_charts
from progan.report.facts import interpolate_hours, list_shaded_phases
from progan.report.metrics import read_measurements
from progan.report.page import render_section
from progan.report.run_data import read_rows, read_run
from tests.builders import tiny_run
from tests.report.pages import Page
from tests.report.runs import made_run, write_lines


def charts(directory: Path) -> dict[str, Chart]:
    data = read_run(directory)
    return {chart.title: chart for chart in make_charts(data, read_measurements(directory))}


def test_all_that_is_known_is_drawn(tmp_path: Path) -> None:
    found = charts(made_run(tmp_path))
    assert list(found)[:3] == ["loss", "SWDx1e3 @8", "score"]
    assert {"images per second", "peak memory, GiB", "gradient norm"} <= set(found)
    swd = found["SWDx1e3 @8"]
    assert [(curve.name, curve.points, curve.level) for curve in swd.curves] == [
        ("16", [(2, 9), (5, 4)], 2),
        ("avg", [(2, 10), (5, 5)], 2.5),
    ]
    assert swd.logarithmic and not found["loss"].logarithmic


def test_accuracies_are_drawn_where_they_mean_something(tmp_path: Path) -> None:
    assert "accuracy" in charts(made_run(tmp_path, settings=tiny_run(objective="gan")))


def test_a_thousand_ticks_become_means() -> None:
    points = [(float(number), float(number % 2)) for number in range(1000)]
    few = downsample(points, 500)
    assert len(few) == 500 and {value for _, value in few} == {0.5} and few[-1][0] == 999
    assert downsample(points, 1000) == points and downsample([]) == []
    assert downsample([(1, None), (2, 4.0), (3, None), (4, None)], 2) == [(2, 4.0), (4, None)]


def test_what_is_not_finite_is_a_gap(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    write_lines(
        directory / "stats.jsonl",
        *(
            {"images_seen": seen, "loss/generator": value}
            for seen, value in ((1000, 1.5), (2000, math.nan), (3000, -math.inf))
        ),
    )
    data = read_run(directory)
    found = chart_data(data, make_charts(data, read_measurements(directory)))
    assert found["charts"][0]["curves"][0]["y"] == [1.5, None, None]
    json.dumps(found, allow_nan=False)


def test_phases_are_shaded_as_far_as_the_run_is(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    data = read_run(directory)
    assert list_shaded_phases(data) == [
        GrowthPhase(0, 1.5, 4, False),
        GrowthPhase(1.5, 3, 8, True),
        GrowthPhase(3, 4.5, 8, False),
        GrowthPhase(4.5, data.kimg, 16, True),
    ]
    (directory / "config.json").write_text("{")
    assert list_shaded_phases(read_run(directory))[0].resolution == 32  # as the ticks say


def test_time_is_shared_out_between_ticks() -> None:
    rows = [
        {"images_seen": 1000.0, "progress/hours": 1.0},
        {"images_seen": 3000.0, "progress/hours": 2.0},
    ]
    assert [interpolate_hours(kimg, rows) for kimg in (0, 0.5, 2, 3)] == [0, 0.5, 1.5, 2]
    assert interpolate_hours(4, rows) is None and interpolate_hours(1, []) is None


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "3",
        "x",
        '{"images_seen": -1}',
        '{"images_seen": []}',
        '{"images_seen": Infinity}',
        '{"images_seen": NaN}',
    ],
)
def test_damaged_lines_are_counted_and_the_last_may_be_half_written(
    tmp_path: Path, line: str
) -> None:
    path = tmp_path / "stats.jsonl"
    path.write_text(f'{{"images_seen": 1}}\n{line}\n{{"images_seen": 2}}\n{{"images_s')
    assert read_rows(path) == ([{"images_seen": 1}, {"images_seen": 2}], 1)


def test_the_figures_tell_their_last_values_without_a_script(tmp_path: Path) -> None:
    found = list(charts(made_run(tmp_path)).values())
    page = Page(render_section("curves", lambda: build_section(found, ["a fault"])))
    assert "avg 5 (reals 2.5)" in page.text[""] and "a fault" in page.text[""]
    assert page.tags["figure"] == len(found)


def test_a_moment_is_named_after_what_its_last_image_was_trained_in(tmp_path: Path) -> None:
    data = read_run(made_run(tmp_path))
    assert [data.describe_stage(seen) for seen in (0, 1500, 2250, 3000, 3001)] == [
        "4 stable",
        "4 stable",
        "4→8 fade 50%",
        "4→8 fade 100%",
        "8 stable",
    ]
