"""Metrics of each snapshot: lines in metric-*.jsonl, curves, a plot, and the best network."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from progan.config import Run
from progan.run_directory import BEST_PREFIX, METRIC_PREFIX
from progan.runtime.files import append_text, atomic_path, read_json_lines
from progan.runtime.log import Log
from progan.runtime.signals import StopSignal
from progan.runtime.text import format_duration
from progan.sampling.snapshot_file import (
    NETWORK_SUFFIX,
    Snapshot,
    is_interim,
    list_snapshots,
    load_network,
    read_images_seen,
    save_network,
)
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.state import TrainState
from progan.training.stats_logger import StatsLogger

Values = Mapping[str, float]  # by column


class SnapshotMetric(NamedTuple):
    """A metric of snapshots.

    Attributes:
        compute: Snapshot -> the values of its images, and those of reals.
        best_column: The column whose minimum makes a snapshot the best; '': none.
        num_images: Number of images that it compares; None if unknown.
    """

    compute: Callable[[Snapshot], tuple[Values, Values]]
    best_column: str = ""
    num_images: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotMetrics:
    """Computes metrics of snapshots; failures are logged, and training continues."""

    metrics: Mapping[str, SnapshotMetric]
    run: Run
    directory: Path
    stats: StatsLogger
    log: Log
    interrupts: StopSignal
    writer: CheckpointWriter

    def __call__(self, snapshot: Snapshot, state: TrainState) -> None:
        """Compute all metrics of a snapshot that is saved, as is its state.

        Ctrl-C takes effect at once; a resumed run computes the metrics that are missing.
        """
        if self.metrics:
            self._compute_all(self.metrics, snapshot, state)

    def catch_up(self, state: TrainState) -> None:
        """Compute the metrics that are missing of the snapshot that the run resumes from.

        With metrics its cards are rewritten in any case, since they may be incomplete.
        """
        for name, metric in self.metrics.items():
            self._keep_earlier_best(name, metric, state)
        path = _find_snapshot(self.directory, state.images_seen) if self.metrics else None
        if path:
            missing = list_unmeasured_metrics(self.directory, self.metrics, state.images_seen)
            snapshot = load_network(path, next(state.g_ema.parameters()).device)
            self._compute_all({name: self.metrics[name] for name in missing}, snapshot, state)

    def _compute_all(
        self, metrics: Mapping[str, SnapshotMetric], snapshot: Snapshot, state: TrainState
    ) -> None:
        """Compute and log metrics, and rewrite the cards; a failure or Ctrl-C ends only them."""
        self.writer.finish()  # so that errors of the disk are not taken for those of a metric
        with suppress(KeyboardInterrupt), self.interrupts.interrupt_immediately():
            for name, metric in metrics.items():
                try:
                    self._compute(name, metric, snapshot, state)
                except Exception as error:  # no metric may end a training
                    self.log(f"{name} failed, training continues: {type(error).__name__}: {error}")
        self.writer.rewrite_cards(snapshot)

    def _compute(
        self, name: str, metric: SnapshotMetric, snapshot: Snapshot, state: TrainState
    ) -> None:
        start = time.monotonic()
        values, reals = metric.compute(snapshot)
        seconds = time.monotonic() - start
        self.log(
            f"{name}  {_format_values(values)}  "
            f"(reals: {_format_values(reals)}; {format_duration(seconds)})"
        )
        self.stats.log_scalars(
            {f"metrics/{column}": value for column, value in values.items()}, state.images_seen
        )
        path = _metric_path(self.directory, name)
        earlier = _read_training_lines(path)
        line = {
            "images_seen": state.images_seen, "kimg": state.kimg, "hours": state.seconds / 3600,
            "seconds": seconds, "num_images": metric.num_images, "values": dict(values),
            "reals": dict(reals),
        }  # fmt: skip
        column = metric.best_column
        if column and line is min([*earlier, line], key=lambda line: line["values"][column]):
            best = self.directory / f"{BEST_PREFIX}{name}{NETWORK_SUFFIX}"
            save_network(best, snapshot)
            self.writer.keep_best(name, snapshot.images_seen)
            self.log(f"The best {column} so far: {best.name}")
        # Last: a metric with a line is not computed again after a crash.
        append_text(path, json.dumps(line) + "\n")
        plot_metric(path.with_suffix(".png"), name, [*earlier, line])

    def _keep_earlier_best(self, name: str, metric: SnapshotMetric, state: TrainState) -> None:
        """Keep the best snapshot of a run that was measured before --best was given."""
        best = self.directory / f"{BEST_PREFIX}{name}{NETWORK_SUFFIX}"
        earlier = _read_training_lines(_metric_path(self.directory, name))
        if not metric.best_column or best.is_file() or not earlier:
            return
        moment = min(earlier, key=lambda line: line["values"][metric.best_column])["images_seen"]
        if path := _find_snapshot(self.directory, moment):
            save_network(best, load_network(path, next(state.g_ema.parameters()).device))
            self.writer.keep_best(name, moment)
            self.log(f"The best {metric.best_column} so far: {best.name}, of {path.name}")


def list_unmeasured_metrics(directory: Path, names: Iterable[str], images_seen: int) -> list[str]:
    """Return the metrics that have no line for the snapshot at `images_seen`."""
    return [
        name
        for name in names
        if all(
            line["images_seen"] != images_seen
            for line in _read_training_lines(_metric_path(directory, name))
        )
    ]


def is_snapshot_unmeasured(directory: Path, names: Iterable[str], images_seen: int) -> bool:
    """Return True if there is a snapshot at `images_seen` that lacks the line of a metric."""
    missing = list_unmeasured_metrics(directory, names, images_seen)
    return bool(missing) and _find_snapshot(directory, images_seen) is not None


def _find_snapshot(directory: Path, images_seen: int) -> Path | None:
    """Return the network file of the snapshot at `images_seen`; None if there is none."""
    return next(
        (
            path
            for path in list_snapshots(directory)
            if not is_interim(path) and read_images_seen(path) == images_seen
        ),
        None,
    )


def _metric_path(directory: Path, name: str) -> Path:
    return directory / f"{METRIC_PREFIX}{name}.jsonl"


def _read_training_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines that trainings wrote; those of `python -m metrics` have other keys."""
    return [line for line in read_json_lines(path) if "metric" not in line]


def _format_values(values: Values) -> str:
    return "  ".join(f"{column} {value:.4g}" for column, value in values.items())


AXES = {"kimg": "thousands of images", "hours": "hours of training"}


def plot_metric(path: Path, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG file with a curve for each column, and dashed lines for reals.

    Args:
        lines: 'kimg', 'hours', 'values' by column and 'reals' by column, in their order.
    """
    from matplotlib.figure import Figure  # takes half a second to import

    page = Figure(figsize=(11, 4.5), layout="constrained")
    panels = page.subplots(1, 2, sharey=True)
    for axes, (clock, label) in zip(panels, AXES.items(), strict=True):
        for column in lines[-1]["values"]:
            (curve,) = axes.plot(
                [line[clock] for line in lines],
                [line["values"][column] for line in lines],
                marker=".",
                label=column,
            )
            axes.axhline(
                lines[-1]["reals"][column], linestyle="--", linewidth=0.8, color=curve.get_color()
            )
        axes.set(xlabel=label)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel=name)
    page.legend(
        handles=panels[0].get_lines()[::2], loc="outside right center", title="dashed: reals"
    )
    with atomic_path(path) as temporary:
        page.savefig(temporary, format="png", dpi=110)
