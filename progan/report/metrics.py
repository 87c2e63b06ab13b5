"""What metrics have told of a run, metric-*.jsonl, as one series of numbers for each column."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from metrics.names import GOALS, LOWER_IS_BETTER, parse_metrics
from metrics.run_record import Metric, label, metric_files, moments
from progan.config import Run
from progan.errors import UserError
from progan.invocation import command_line
from progan.report.markup import Markup, Material, element, joined, table
from progan.run_directory import BEST_PREFIX
from progan.sampling.network_file import PREFIX, SUFFIX, images_seen_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A column of a metric over time.

    Attributes:
        values: By the images that were seen.
        real: What reals have, if it is known.
    """

    metric: Metric
    column: str
    values: dict[int, float] = field(default_factory=dict)
    real: float | None = None

    @property
    def label(self) -> str:
        """'SWDx1e3_avg @16384'."""
        return label(self.column, self.metric[1])

    @property
    def family(self) -> str:
        """What stands together in one picture: 'SWDx1e3 @16384'."""
        return label(self.column.partition("_")[0], self.metric[1])

    @property
    def goal(self) -> str:
        """Which value is best: 'least', 'most', 'reals', or '' if none is."""
        return GOALS.get(self.column.partition("_")[0], "")

    def best(self) -> tuple[int, float] | None:
        """The best value and when it was; None if there is none, or none is better."""
        ranks: dict[str, Callable[[float], float]] = {
            "least": lambda value: value,
            "most": lambda value: -value,
        }
        if self.real is not None:
            real = self.real
            ranks["reals"] = lambda value: abs(value - real)
        if not self.values or self.goal not in ranks:
            return None
        moment = min(self.values, key=lambda each: ranks[self.goal](self.values[each]))
        return moment, self.values[moment]


@dataclass(frozen=True, slots=True)
class Measured:
    """All series, the oldest points first, and why some files tell nothing."""

    series: Sequence[Series]
    faults: Sequence[str] = ()

    def families(self) -> dict[str, list[Series]]:
        """Those with values, by family, in the order of GOALS."""
        found: dict[str, list[Series]] = {}
        order = [*GOALS, ""]
        for each in sorted(
            self.series,
            key=lambda one: order.index(one.column.partition("_")[0] if one.goal else ""),
        ):
            if each.values:
                found.setdefault(each.family, []).append(each)
        return found


def networks(directory: Path) -> dict[str, int]:
    """The networks of a run and the images that each has seen; the damaged ones are left out."""
    paths = [*directory.glob(f"{PREFIX}*{SUFFIX}"), *directory.glob(f"{BEST_PREFIX}*{SUFFIX}")]
    moments_of = {path.stem: images_seen_of(path) for path in sorted(paths)}
    return {name: moment for name, moment in moments_of.items() if moment is not None}


def measured(directory: Path) -> Measured:
    """Read all that was measured, while training and later."""
    known = networks(directory)
    found: dict[str, Series] = {}
    faults = []
    for file in metric_files(directory):
        try:
            for series, moment, value in _numbers(file, known):
                if math.isfinite(value):
                    _note(found, series, moment, value)
        except (UserError, OSError) as error:
            faults.append(str(error))
    return Measured([_in_order(each) for each in found.values()], faults)


def _numbers(file: Path, known: dict[str, int]) -> Iterator[tuple[Series, int | None, float]]:
    """Empty series with the numbers that belong to them; those of reals belong to no moment."""
    for moment, finding in moments(file, known):
        for column, value in finding.values.items():
            yield Series(metric=finding.metric, column=column), moment, value
        for column, value in finding.reals.items():
            yield Series(metric=finding.metric, column=column), None, value


def _note(found: dict[str, Series], series: Series, moment: int | None, value: float) -> None:
    """Put a number where it belongs; of two for one place the last counts."""
    kept = found.setdefault(series.label, series)
    if moment is None:
        found[series.label] = Series(
            metric=kept.metric, column=kept.column, values=kept.values, real=value
        )
    else:
        kept.values[moment] = value


def _in_order(series: Series) -> Series:
    return Series(
        metric=series.metric,
        column=series.column,
        real=series.real,
        values=dict(sorted(series.values.items())),
    )


HEADINGS = ("metric", "best", "reals", "kimg", "network")
GONE = "none is left"


class Choice(NamedTuple):
    """A network and why it is the one to take."""

    name: str  # without its suffix
    why: str


def section(material: Material, measured: Measured) -> Markup:
    """The network to take, the command for it, and the best of each metric."""
    known = networks(material.directory)
    choice = chosen(known, measured, material.settings)
    network = material.directory / f"{choice.name}{SUFFIX}"
    drawing = command_line("generate", "--network", network, "--seeds", "0-15", "--outdir", "out")
    rows = [
        _row(series, known)
        for family in measured.families().values()
        for series in family
        if series.best()
    ]
    return joined(
        [
            element("p", element("b", f"{choice.name}{SUFFIX}"), f": {choice.why}."),
            element("p", element("code", drawing)),
            *([table(HEADINGS, rows, brief=True)] if rows else []),
        ]
    )


def chosen(known: dict[str, int], measured: Measured, run: Run | None) -> Choice:
    """What was kept as the best one; else the best by a metric; else the newest.

    Raises UserError if there is no network.
    """
    snapshots = {name: seen for name, seen in known.items() if name.startswith(PREFIX)}
    if not known:
        raise UserError("There is no network yet: the first snapshot comes after some ticks.")
    for series in by_importance(measured, run):
        moment, value = series.best() or (-1, 0.0)
        if name := network_at(moment, known):
            return Choice(name, f"the best {series.label}, {value:.4g}")
    newest = max(snapshots or known, key=lambda name: known[name])
    return Choice(
        newest,
        f"the newest one, at kimg {known[newest] / 1000:g}; no metric that "
        f"tells a best one was measured ({command_line('train', '--metrics', 'swd')})",
    )


def by_importance(measured: Measured, run: Run | None) -> Sequence[Series]:
    """The columns that tell the best network: that of --best first, then by the usual order."""
    wanted = [name for name, _ in parse_metrics(run.output.best).values()] if run else []
    order = [
        LOWER_IS_BETTER[name] for name in (*wanted, *LOWER_IS_BETTER) if name in LOWER_IS_BETTER
    ]
    found = [
        each for family in measured.families().values() for each in family if each.column in order
    ]
    return sorted(found, key=lambda each: order.index(each.column))


def network_at(moment: int, known: dict[str, int]) -> str:
    """A network that saw so many images, one kept as the best first; '' if none is left."""
    names = [name for name, seen in known.items() if seen == moment]
    return min(names, key=lambda name: not name.startswith(BEST_PREFIX), default="")


def _row(series: Series, known: dict[str, int]) -> list[str]:
    moment, value = series.best() or (0, 0.0)
    return [
        series.label,
        f"{value:.4g}",
        "" if series.real is None else f"{series.real:.4g}",
        f"{moment / 1000:g}",
        network_at(moment, known) or GONE,
    ]
