"""The section of the curves: their numbers for the script of the page, and a frame for each."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from progan.config import Run
from progan.diagnosis.curves import Panel, select_panels
from progan.diagnosis.history import History, Row
from progan.errors import UserError
from progan.report.metrics import Measurements, Series
from progan.report.run_data import Markup, RunData, element, joined
from progan.report.settings import shaded_phases

MAX_POINTS = 600  # of a curve; a screen shows no more
DIGITS = 5
LOGARITHMIC = ("SWDx1e3", "FID", "KIDx1e3", "KID75x1e3", "KL")  # they fall by powers of ten
SPEED = Panel("images per second", {"speed/images-per-second": "images/s"}, logarithmic=True)
MEMORY = Panel("peak memory, GiB", {"memory/peak-gib": "GiB"})
WAITING = Panel("waiting for data, percent of the time", {"speed/data-wait-percent": "%"})
RATES = Panel(
    "learning rate", {"learning-rate/generator": "G", "learning-rate/critic": "D"}, logarithmic=True
)

Point = tuple[float, float | None]  # kimg, value; None: no finite number


@dataclass(frozen=True, slots=True)
class Curve:
    """A line, or the level of the reals.

    Attributes:
        level: Draw it dashed from end to end at this value.
    """

    name: str
    points: Sequence[Point] = ()
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Some curves on common axes."""

    title: str
    curves: Sequence[Curve]
    logarithmic: bool = False
    mark: float | None = None


def section(charts: Sequence[Chart], faults: Iterable[str]) -> Markup:
    """A figure for each chart; raises UserError if there is none."""
    left_out = joined(element("p", fault, class_="absent") for fault in faults)
    if not charts:
        raise UserError(
            " ".join(["There are no numbers yet: they come with the first ticks.", *faults])
        )
    hint = element(
        "p",
        "Orange is fading in, grey and white are resolutions; dashed is what reals "
        "have, or what to aim for. Values that are far off leave the frame. Point at "
        "a curve, or go along it with the arrow keys, to read it.",
        class_="note",
    )
    return joined(
        [
            hint,
            element(
                "div",
                *(_figure(number, chart) for number, chart in enumerate(charts)),
                class_="charts",
            ),
            left_out,
        ]
    )


def make_charts(material: RunData, measured: Measurements) -> list[Chart]:
    """All charts of which something is known: losses first, then metrics, then speed."""
    run = material.settings or Run()
    history = History(material.rows, run.objective, run.growth.d_repeats)
    losses, *others = select_panels(history)
    metrics = [_of_metric(family, series) for family, series in measured.families().items()]
    found = [
        _of_panel(losses, material.rows),
        *metrics,
        *(_of_panel(each, material.rows) for each in (*others, SPEED, WAITING, MEMORY, RATES)),
    ]
    return [chart for chart in found if chart.curves]


def chart_data(material: RunData, charts: Sequence[Chart]) -> dict[str, Any]:
    """What the script draws, for JSON, which knows finite numbers only."""
    return {
        "kimg": max(
            [
                material.kimg,
                *(kimg for chart in charts for curve in chart.curves for kimg, _ in curve.points),
            ]
        ),
        "phases": [
            [_short(span.start), _short(span.end), span.resolution, span.fading]
            for span in shaded_phases(material)
        ],
        "charts": [_plain(chart) for chart in charts],
    }


def downsample(points: Sequence[Point], most: int = MAX_POINTS) -> list[Point]:
    """At most so many points: means over as many neighbours as it takes."""
    count = -(-len(points) // most)
    groups = [points[start : start + count] for start in range(0, len(points), max(count, 1))]
    return [(group[-1][0], _mean([value for _, value in group])) for group in groups]


def _mean(values: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _of_panel(panel: Panel, rows: Sequence[Row]) -> Chart:
    curves = [
        Curve(
            label,
            downsample(
                [(row["images_seen"] / 1000, _finite(row[name])) for row in rows if name in row]
            ),
        )
        for name, label in panel.curves.items()
        if any(name in row for row in rows)
    ]
    return Chart(panel.title.replace("\n", " "), curves, panel.logarithmic, panel.mark)


def _of_metric(family: str, series: Sequence[Series]) -> Chart:
    """The columns of one metric, each with the level of the reals."""
    return Chart(family, list(_curves(series)), family.partition(" ")[0] in LOGARITHMIC)


def _curves(series: Sequence[Series]) -> Iterator[Curve]:
    for each in series:
        points = [(moment / 1000, _finite(value)) for moment, value in each.values.items()]
        level = None if each.real is None else _finite(each.real)
        yield Curve(each.column.partition("_")[2] or each.column, downsample(points), level)


def _figure(number: int, chart: Chart) -> Markup:
    """The frame that the script draws into, and the last values, which need no script."""
    return element(
        "figure",
        element("figcaption", chart.title),
        element(
            "div",
            element("svg", aria_hidden="true"),
            class_="plot",
            tabindex="0",
            role="group",
            aria_label=_in_words(chart),
        ),
        element("ul", *(_key(place, curve) for place, curve in enumerate(chart.curves))),
        element("output", aria_live="off"),
        class_="chart",
        data_chart=f"{number}",
    )


def _key(place: int, curve: Curve) -> Markup:
    """What a colour means, and the last value."""
    return element(
        "li",
        element("i"),
        f"{curve.name} ",
        element("b", _last(curve)),
        *([f" (reals {curve.level:.4g})"] if curve.level is not None else []),
        class_=f"curve-{place % 8}",
    )


def _in_words(chart: Chart) -> str:
    """'loss against thousands of images. D 3 to 1; G 2 to 4.'"""
    courses = [f"{curve.name} {_first(curve)} to {_last(curve)}" for curve in chart.curves]
    return f"{chart.title} against thousands of images: {'; '.join(courses)}"


def _first(curve: Curve) -> str:
    return next((f"{value:.4g}" for _, value in curve.points if value is not None), "unknown")


def _last(curve: Curve) -> str:
    return next(
        (f"{value:.4g}" for _, value in reversed(curve.points) if value is not None), "unknown"
    )


def _plain(chart: Chart) -> dict[str, Any]:
    return {
        "log": chart.logarithmic,
        "mark": chart.mark,
        "curves": [
            {
                "x": [_short(kimg) for kimg, _ in curve.points],
                "y": [None if value is None else _short(value) for _, value in curve.points],
                "level": curve.level,
            }
            for curve in chart.curves
        ],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _short(value: float) -> float:
    """Without digits that nobody sees."""
    return float(f"{value:.{DIGITS}g}")
