"""Metrics of each snapshot: lines in metric-*.jsonl, curves, a plot, and the best network."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from progan.config import Run
from progan.run_directory import BEST_PREFIX, METRIC_PREFIX, kimg_name
from progan.runtime.files import write_atomically
from progan.runtime.interrupts import Interrupts
from progan.runtime.log import Log, human_seconds
from progan.sampling.network_file import PREFIX, SUFFIX, Snapshot
from progan.training.metric_plot import plot
from progan.training.monitor import Monitor
from progan.training.state import TrainState

Values = Mapping[str, float]  # by column


class Measure(NamedTuple):
    """A metric of networks.

    Attributes:
        of: A snapshot -> the values of its pictures, and those of reals.
        best_column: The column by which the snapshot with the least value is kept; '': none is.
    """

    of: Callable[[Snapshot], tuple[Values, Values]]
    best_column: str = ""


@dataclass(frozen=True, slots=True)
class Measurements:
    """Measures snapshots. What fails is reported, and training goes on."""

    measures: Mapping[str, Measure]
    run: Run
    directory: Path
    monitor: Monitor
    log: Log
    interrupts: Interrupts

    def __call__(self, snapshot: Snapshot, state: TrainState) -> None:
        """Measure a snapshot that has been saved, as has its state: Ctrl-C ends it at once."""
        with self.interrupts.at_once():
            for name, measure in self.measures.items():
                try:
                    self._measure(name, measure, snapshot, state)
                except Exception as error:  # the metrics are not worth a training
                    self.log(f"{name} failed, training goes on: {type(error).__name__}: {error}")

    def _measure(self, name: str, measure: Measure, snapshot: Snapshot, state: TrainState) -> None:
        start = time.monotonic()
        values, reals = measure.of(snapshot)
        seconds = time.monotonic() - start
        self.log(f"{name}  {_words(values)}  (reals: {_words(reals)}; {human_seconds(seconds)})")
        self.monitor.curves({f"metrics/{column}": value for column, value in values.items()},
                            state.images_seen)
        path = self.directory / f"{METRIC_PREFIX}{name}.jsonl"
        earlier = _lines(path)
        line = {"images_seen": state.images_seen, "kimg": state.kimg,
                "hours": state.seconds / 3600, "seconds": seconds, "values": dict(values),
                "reals": dict(reals)}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        plot(path.with_suffix(".png"), name, [*earlier, line])
        self._keep_best(name, measure.best_column, [*earlier, line])

    def _keep_best(self, name: str, column: str, lines: list[dict[str, Any]]) -> None:
        if column and lines[-1] is min(lines, key=lambda line: line["values"][column]):
            newest = self.directory / kimg_name(PREFIX, lines[-1]["images_seen"], SUFFIX)
            best = self.directory / f"{BEST_PREFIX}{name}{SUFFIX}"
            write_atomically(best, newest.read_bytes())
            self.log(f"The best {column} so far: {best.name}")


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def _words(values: Values) -> str:
    return "  ".join(f"{column} {value:.4g}" for column, value in values.items())
