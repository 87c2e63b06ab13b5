"""Best snapshot section: measured values of metric-*.jsonl, a series for each column."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from metrics.comparison import column_goal, compute_sort_key, goal_key
from metrics.options import GOALS, LOWER_IS_BETTER, parse_metrics
from metrics.run_record import (
    MetricKey,
    MetricResult,
    are_same_images,
    are_same_reals,
    column_label,
    describe_training_reals,
    get_training_detector_name,
    list_metric_files,
    parse_metric_file,
    uses_detector,
)
from progan.config import Run
from progan.errors import UserError
from progan.invocation import command_line
from progan.report.run_data import RunData
from progan.run_directory import BEST_PREFIX
from progan.sampling.snapshot_file import (
    NETWORK_SUFFIX,
    SNAPSHOT_PREFIX,
    list_snapshots,
    read_images_seen,
)

HEADINGS = ("metric", "best", "reals", "kimg", "network")


@dataclass(kw_only=True, slots=True)
class Series:
    """A column of a metric over time.

    Attributes:
        values: By images seen.
        detector: Name of the detector if it is not that of the training, whose values differ.
        real: The value of the real-vs-real baseline; None if unknown.
    """

    metric: MetricKey
    column: str
    detector: str = ""
    values: dict[int, float] = field(default_factory=dict)
    real: float | None = None

    @property
    def label(self) -> str:
        """'SWDx1e3_avg @16384', 'FID @5000 (mine.pt)'."""
        return self._label(self.column)

    @property
    def family(self) -> str:
        """Name of the chart that the column belongs to: 'SWDx1e3 @16384'."""
        return self._label(self.column.partition("_")[0])

    def _label(self, name: str) -> str:
        return column_label(name, self.metric[1]) + f" ({self.detector})" * bool(self.detector)

    def best(self, among: Collection[int] | None = None) -> tuple[int, float] | None:
        """Return images seen and value of the best point; None if unknown or no value is best.

        Args:
            among: Points that count, by images seen; None: all.
        """
        ranks = {
            age: rank
            for age, value in self.values.items()
            if among is None or age in among
            if (rank := compute_sort_key(self.column, value, self.real)) is not None
        }
        if not ranks or not column_goal(self.column):
            return None
        age = min(ranks, key=lambda each: ranks[each])
        return age, self.values[age]


@dataclass(frozen=True, slots=True)
class Measurements:
    """All series of a run, oldest points first, and the errors of unreadable files."""

    series: Sequence[Series]
    errors: Sequence[str] = ()

    def families(self) -> dict[str, list[Series]]:
        """Group the series that have values by family, in the order of GOALS."""
        order = [*GOALS, ""]
        found: dict[str, list[Series]] = {}
        for series in sorted(self.series, key=lambda each: order.index(goal_key(each.column))):
            if series.values:
                found.setdefault(series.family, []).append(series)
        return found


class Choice(NamedTuple):
    """The network to use, by its file name without suffix, and the reason."""

    name: str
    reason: str


def read_images_seen_by_network(directory: Path) -> dict[str, int]:
    """Return the images seen of each network file of a run, by stem, without damaged files."""
    paths = [*list_snapshots(directory), *directory.glob(f"{BEST_PREFIX}*{NETWORK_SUFFIX}")]
    networks = {path.stem: read_images_seen(path) for path in sorted(paths)}
    return {name: images_seen for name, images_seen in networks.items() if images_seen is not None}


def read_measurements(directory: Path, run: Run | None = None) -> Measurements:
    """Read all metric-*.jsonl of a run; of two values for one network the last counts.

    Values against other reals than those of the training are left out, with a message. Those of
    another detector are a series of their own.

    Args:
        run: Its settings; None if they are unknown.
    """
    networks = read_images_seen_by_network(directory)
    found: dict[str, Series] = {}
    errors = []

    @cache  # it may read the description of a dataset
    def is_of_training(reals: str) -> bool:
        if run is None:
            return True
        training = describe_training_reals(run)
        return are_same_reals(reals, training) or are_same_images(run, training, reals)

    for file in list_metric_files(directory):
        try:
            for images_seen, finding in parse_metric_file(file, networks):
                if finding.against and not is_of_training(finding.against):
                    errors.append(
                        f"{file.name}: values against {finding.against} are left out, as they do "
                        "not compare with those of the training."
                    )
                    continue
                points = [(images_seen, *item) for item in finding.values.items()]
                points += [(None, *item) for item in finding.reals.items()]
                for age, column, value in points:
                    if math.isfinite(value):
                        series = Series(
                            metric=finding.metric,
                            column=column,
                            detector=_find_other_detector(finding, run),
                        )
                        series = found.setdefault(series.label, series)
                        if age is None:
                            series.real = value
                        else:
                            series.values[age] = value
        except (UserError, OSError) as error:
            errors.append(str(error))
    for series in found.values():
        series.values = dict(sorted(series.values.items()))
    return Measurements(list(found.values()), list(dict.fromkeys(errors)))


def _find_other_detector(finding: MetricResult, run: Run | None) -> str:
    """Return the detector of a result if it is not that of the training, else ''."""
    if run is None or not uses_detector(finding.metric):
        return ""
    own = get_training_detector_name(run)
    return "" if finding.detector == own else finding.detector


def build_section(data: RunData, measurements: Measurements) -> dict[str, Any]:
    """Return the network to use, the command that generates with it, and a table of best values."""
    networks = read_images_seen_by_network(data.directory)
    choice = choose_best_network(networks, measurements, data.settings)
    network = data.directory / f"{choice.name}{NETWORK_SUFFIX}"
    return {
        "file": network.name,
        "reason": choice.reason,
        "command": command_line(
            "generate", "--network", network, "--seeds", "0-15", "--outdir", "out"
        ),
        "headings": HEADINGS,
        "rows": [
            _format_series_row(series, best, networks)
            for family in measurements.families().values()
            for series in family
            if (best := series.best())
        ],
    }


def choose_best_network(
    networks: dict[str, int], measurements: Measurements, run: Run | None
) -> Choice:
    """Choose the network kept as the best, else the best by a metric, else the newest snapshot.

    Args:
        networks: Images seen, by the name of the network.

    Raises UserError if the run has no network.
    """
    if not networks:
        raise UserError("No network yet: the first snapshot comes after some ticks.")
    ranking = sort_by_importance(measurements, run)
    for series in ranking:
        if best := series.best(set(networks.values())):
            images_seen, value = best
            name = find_network_at(images_seen, networks)
            return Choice(name, f"the best {series.label}, {value:.4g}")
    snapshots = [name for name in networks if name.startswith(SNAPSHOT_PREFIX)]
    newest = max(snapshots or networks, key=lambda name: networks[name])
    why = (
        "none of the measured networks is left"
        if ranking
        else "no metric that chooses the best network was measured "
        f"({command_line('train', '--metrics', 'swd')})"
    )
    return Choice(newest, f"the newest one, at kimg {networks[newest] / 1000:g}; {why}")


def sort_by_importance(measurements: Measurements, run: Run | None) -> list[Series]:
    """Return the series that choose the best network: those of --best first.

    Of one metric, that of the number of images of --best and of the detector of the training
    comes first.
    """
    wanted = list(parse_metrics(run.output.best).values()) if run else []
    names = [*(name for name, _ in wanted), *LOWER_IS_BETTER]
    order = [LOWER_IS_BETTER[name] for name in names if name in LOWER_IS_BETTER]
    found = [
        each
        for family in measurements.families().values()
        for each in family
        if each.column in order
    ]
    return sorted(
        found,
        key=lambda each: (order.index(each.column), each.metric not in wanted, each.detector != ""),
    )


def find_network_at(images_seen: int, networks: dict[str, int]) -> str:
    """Return the network that saw so many images, preferring network-best-*; '' if none is left."""
    names = [name for name, seen in networks.items() if seen == images_seen]
    return min(names, key=lambda name: not name.startswith(BEST_PREFIX), default="")


def _format_series_row(
    series: Series, best: tuple[int, float], networks: dict[str, int]
) -> list[str]:
    images_seen, value = best
    return [
        series.label,
        f"{value:.4g}",
        "" if series.real is None else f"{series.real:.4g}",
        f"{images_seen / 1000:g}",
        find_network_at(images_seen, networks) or "none is left",
    ]
