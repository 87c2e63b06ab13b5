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
from progan.runtime.log import Log, human_seconds
from progan.runtime.stop_signal import StopSignal
from progan.sampling.network_file import (
    PREFIX,
    SUFFIX,
    Snapshot,
    images_seen_of,
    load_network,
    save_network,
)
from progan.training.monitor import Monitor
from progan.training.saver import Saver
from progan.training.state import TrainState

Values = Mapping[str, float]  # by column


class Measure(NamedTuple):
    """A metric of networks.

    Attributes:
        of: A snapshot -> the values of its pictures, and those of reals.
        best_column: The column by which the snapshot with the least value is kept; '': none is.
        num_images: How many pictures it compares; None if that is not known.
    """

    of: Callable[[Snapshot], tuple[Values, Values]]
    best_column: str = ""
    num_images: int | None = None


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measures snapshots, for their cards too. What fails is reported, and training goes on."""

    measures: Mapping[str, Measure]
    run: Run
    directory: Path
    monitor: Monitor
    log: Log
    interrupts: StopSignal
    saver: Saver

    def __call__(self, snapshot: Snapshot, state: TrainState) -> None:
        """Measure a snapshot that has been saved, as has its state: Ctrl-C ends it at once.

        The run stops then, and what was not measured is measured when it goes on.
        """
        if self.measures:
            self._measure_by(self.measures, snapshot, state)

    def catch_up(self, state: TrainState) -> None:
        """Measure the snapshot that the run goes on from by what was cut short there.

        Its cards are written in any case: they may be what was cut short.
        """
        missing = unmeasured(self.directory, self.measures, state.images_seen)
        for path in self.directory.glob(f"{PREFIX}*[0-9]{SUFFIX}") if self.measures else ():
            if images_seen_of(path) == state.images_seen:
                snapshot = load_network(path, next(state.average.parameters()).device)
                self._measure_by({name: self.measures[name] for name in missing}, snapshot, state)
                return

    def _measure_by(
        self, measures: Mapping[str, Measure], snapshot: Snapshot, state: TrainState
    ) -> None:
        self.saver.finish()  # an error of the disk then is none of the metrics
        with suppress(KeyboardInterrupt), self.interrupts.interrupt_immediately():
            for name, measure in measures.items():
                try:
                    self._measure(name, measure, snapshot, state)
                except Exception as error:  # the metrics are not worth a training
                    self.log(f"{name} failed, training goes on: {type(error).__name__}: {error}")
        self.saver.describe(snapshot)

    def _measure(self, name: str, measure: Measure, snapshot: Snapshot, state: TrainState) -> None:
        start = time.monotonic()
        values, reals = measure.of(snapshot)
        seconds = time.monotonic() - start
        self.log(f"{name}  {_words(values)}  (reals: {_words(reals)}; {human_seconds(seconds)})")
        self.monitor.curves(
            {f"metrics/{column}": value for column, value in values.items()}, state.images_seen
        )
        path = _file(self.directory, name)
        earlier = _lines(path)
        line = {
            "images_seen": state.images_seen,
            "kimg": state.kimg,
            "hours": state.seconds / 3600,
            "seconds": seconds,
            "num_images": measure.num_images,
            "values": dict(values),
            "reals": dict(reals),
        }
        column = measure.best_column
        if column and line is min([*earlier, line], key=lambda line: line["values"][column]):
            best = self.directory / f"{BEST_PREFIX}{name}{SUFFIX}"
            save_network(best, snapshot)
            self.saver.keep_best(name)
            self.log(f"The best {column} so far: {best.name}")
        # Last: what has a line is not measured again, and so must not lack the rest after a crash.
        append_text(path, json.dumps(line) + "\n")
        plot(path.with_suffix(".png"), name, [*earlier, line])


def unmeasured(directory: Path, names: Iterable[str], images_seen: int) -> list[str]:
    """The metrics that have no line for the snapshot at `images_seen`."""
    return [
        name
        for name in names
        if all(line["images_seen"] != images_seen for line in _lines(_file(directory, name)))
    ]


def _file(directory: Path, name: str) -> Path:
    return directory / f"{METRIC_PREFIX}{name}.jsonl"


def _lines(path: Path) -> list[dict[str, Any]]:
    """What trainings wrote; rows of `python -m metrics` in the same file count images otherwise."""
    return [line for line in read_json_lines(path) if "metric" not in line]


def _words(values: Values) -> str:
    return "  ".join(f"{column} {value:.4g}" for column, value in values.items())


AXES = {"kimg": "thousands of images", "hours": "hours of training"}


def plot(path: Path, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG file with one curve for each column, and dashed what reals have.

    Args:
        lines: 'kimg', 'hours', 'values' by column and 'reals' by column, in their order.
    """
    from matplotlib.figure import Figure  # loads for half a second, and only here is it needed

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
