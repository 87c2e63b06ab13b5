"""Curves section: charts of losses, metrics and speed, and their numbers for the page's script."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from progan.config import Run
from progan.diagnosis.curves import Panel, select_panels
from progan.diagnosis.history import History, Row
from progan.errors import UserError
from progan.report.facts import list_shaded_phases
from progan.report.metrics import Measurements, Series
from progan.report.run_data import RunData

MAX_POINTS = 600  # per curve; a screen shows no more
DIGITS = 5
LOGARITHMIC = ("SWDx1e3", "FID", "KIDx1e3", "KID75x1e3", "KL")  # metrics that fall exponentially
# fmt: off
SPEED = Panel("images per second", {"speed/images-per-second": "images/s"}, logarithmic=True)
MEMORY = Panel("peak memory, GiB", {"memory/peak-gib": "GiB"})
WAITING = Panel("waiting for data, percent of the time", {"speed/data-wait-percent": "%"})
RATES = Panel("learning rate", {"learning-rate/generator": "G", "learning-rate/critic": "D"},
              logarithmic=True)
# fmt: on

Point = tuple[float, float | None]  # kimg, value; None: not finite


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve, and the real-vs-real baseline as a dashed line at `level`."""

    name: str
    points: Sequence[Point] = ()
    level: float | None = None

    @property
    def first(self) -> str:
        return _first_known(self.points)

    @property
    def last(self) -> str:
        return _first_known(reversed(self.points))


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves on common axes; `mark` is a value worth a line."""

    title: str
    curves: Sequence[Curve]
    logarithmic: bool = False
    mark: float | None = None

    @property
    def description(self) -> str:
        """Text for screen readers: 'loss against thousands of images: D 3 to 1; G 2 to 4'."""
        ranges = [f"{curve.name} {curve.first} to {curve.last}" for curve in self.curves]
        return f"{self.title} against thousands of images: {'; '.join(ranges)}"


def build_section(charts: Sequence[Chart], errors: Sequence[str]) -> dict[str, Any]:
    """Return the charts and the errors of unreadable files; raises UserError without charts."""
    if not charts:
        raise UserError(" ".join(["No statistics yet: they come with the first ticks.", *errors]))
    return {"charts": charts, "errors": errors}


def make_charts(data: RunData, measurements: Measurements) -> list[Chart]:
    """Return the charts that have data: losses, then metrics, other statistics, speed."""
    run = data.settings or Run()
    losses, *others = select_panels(History(data.rows, run.loss, run.growth.d_repeats))
    metrics = [_metric_chart(family, each) for family, each in measurements.families().items()]
    panels = [_panel_chart(each, data.rows) for each in (*others, SPEED, WAITING, MEMORY, RATES)]
    charts = [_panel_chart(losses, data.rows), *metrics, *panels]
    return [chart for chart in charts if chart.curves]


def chart_data(data: RunData, charts: Sequence[Chart]) -> dict[str, Any]:
    """Return axes, phases and curves for the page's script, JSON without infinities or NaN."""
    last = [curve.points[-1][0] for chart in charts for curve in chart.curves if curve.points]
    return {
        "kimg": max([data.kimg, *last]),
        "phases": [
            [
                _round_significant(phase.start),
                _round_significant(phase.end),
                phase.resolution,
                phase.fading,
            ]
            for phase in list_shaded_phases(data)
        ],
        "charts": [
            {
                "log": chart.logarithmic,
                "mark": chart.mark,
                "curves": [
                    {
                        "x": [_round_significant(kimg) for kimg, _ in curve.points],
                        "y": [
                            value if value is None else _round_significant(value)
                            for _, value in curve.points
                        ],
                        "level": curve.level,
                    }
                    for curve in chart.curves
                ],
            }
            for chart in charts
        ],
    }


def downsample(points: Sequence[Point], max_points: int = MAX_POINTS) -> list[Point]:
    """Average groups of neighbouring points so that at most `max_points` remain."""
    size = max(-(-len(points) // max_points), 1)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], _mean([value for _, value in group])) for group in groups]


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the known values, None if there are none."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _panel_chart(panel: Panel, rows: Sequence[Row]) -> Chart:
    curves = [
        Curve(
            label,
            downsample(
                [(row["images_seen"] / 1000, _none_unless_finite(row[name])) for row in known]
            ),
        )
        for name, label in panel.curves.items()
        if (known := [row for row in rows if name in row])
    ]
    return Chart(panel.title.replace("\n", " "), curves, panel.logarithmic, panel.mark)


def _metric_chart(family: str, columns: Sequence[Series]) -> Chart:
    curves = [
        Curve(
            series.column.partition("_")[2] or series.column,
            downsample(
                [(seen / 1000, _none_unless_finite(value)) for seen, value in series.values.items()]
            ),
            None if series.real is None else _none_unless_finite(series.real),
        )
        for series in columns
    ]
    return Chart(family, curves, family.partition(" ")[0] in LOGARITHMIC)


def _first_known(points: Iterable[Point]) -> str:
    return next((f"{value:.4g}" for _, value in points if value is not None), "unknown")


def _none_unless_finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _round_significant(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
