"""What happens at the end of a tick. A hook gets the state and the tick, and changes neither."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from progan.config import Run
from progan.data.reader import Dataset
from progan.diagnosis.diagnose import SYMPTOMS, diagnose
from progan.diagnosis.findings import Verdict
from progan.diagnosis.history import History, Row, read_rows
from progan.diagnosis.report import finding_words, summary
from progan.images import save_png
from progan.invocation import command_line
from progan.run_directory import FAKES_PREFIX, STATISTICS_FILE, snapshot_path
from progan.runtime.distributed import Group
from progan.runtime.log import Log, human_percent, human_rate, human_seconds
from progan.sampling.network_file import Snapshot
from progan.schedule import Stage
from progan.training import samples
from progan.training.data_parallel import require_same_weights
from progan.training.monitor import Monitor
from progan.training.progress import EtaEstimator, kimg_words, stage_words
from progan.training.saver import Saver
from progan.training.state import TrainState


class Diagnosis:
    """The status after each tick; what changes goes to the log and, as text, to TensorBoard.

    stats.jsonl does not get it: it follows from what stands there.
    """

    def __init__(self, run: Run, directory: Path, monitor: Monitor, log: Log) -> None:
        self._rows: list[Row] = read_rows(directory / STATISTICS_FILE)
        self._run, self._monitor, self._log = run, monitor, log
        self._plotting = command_line("diagnosis", directory, "--plot", "curves.png")
        self.verdict = self._judged()

    def add(self, row: Row) -> None:
        """Judge anew, with the statistics of another tick."""
        self._rows.append(row)
        before, self.verdict = self.verdict, self._judged()
        images_seen = int(row["images_seen"])
        found = {finding.name for finding in self.verdict.findings}
        self._monitor.curves(
            {
                f"diagnosis/{symptom.name.replace(' ', '-')}": float(symptom.name in found)
                for symptom in SYMPTOMS
            },
            images_seen,
        )
        if found != {finding.name for finding in before.findings} or (
            before.judged != self.verdict.judged
        ):
            self._tell(before, images_seen)

    def _judged(self) -> Verdict:
        return diagnose(History.of_run(self._rows, self._run))

    def _tell(self, before: Verdict, images_seen: int) -> None:
        known = {finding.name for finding in before.findings}
        new = [
            finding_words(finding) for finding in self.verdict.findings if finding.name not in known
        ]
        lines = [f"Diagnosis: {words}" for words in new or [summary(self.verdict)]]
        for line in lines:
            self._log(f"{line} (Curves: {self._plotting})" if new else line)
        self._monitor.text("diagnosis", "\n\n".join(lines), images_seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A stretch of training that just ended."""

    stage: Stage
    done: bool  # the run ends here
    means: dict[str, float]  # of the statistics of all steps
    images_per_second: float
    data_wait: float  # share of the time in which training waited for data
    memory_bytes: int  # peak


Hook = Callable[[TrainState, Tick], None]


def status_line(run: Run, log: Log, forecast: EtaEstimator, diagnosis: Diagnosis) -> Hook:
    """Print what a person wants to know; the numbers must have been judged before."""

    def hook(state: TrainState, tick: Tick) -> None:
        phase_left, left = forecast.remaining_seconds(state.images_seen)
        total = run.growth.total_kimg
        log(
            "  ".join(
                [
                    f"tick {state.tick}",
                    f"kimg {kimg_words(state.kimg, total)}/{total:g} "
                    f"({100 * state.kimg / total:.1f}%)",
                    stage_words(tick.stage, run.network),
                    f"batch {tick.stage.batch}",
                    f"{human_rate(tick.images_per_second)} img/s",
                    f"data-wait {human_percent(tick.data_wait)}",
                    f"mem {tick.memory_bytes / 2**30:.1f} GiB",
                    f"time {human_seconds(state.seconds)}",
                    f"ETA {human_seconds(left)} (phase {human_seconds(phase_left)})",
                    *([f"rollbacks {state.rollbacks}"] if state.rollbacks else []),
                    diagnosis.verdict.brief,
                ]
            )
        )

    return hook


def curves(monitor: Monitor, diagnosis: Diagnosis) -> Hook:
    """Write all numbers to TensorBoard and stats.jsonl, and judge them."""

    def hook(state: TrainState, tick: Tick) -> None:
        values = numbers(state, tick)
        monitor.numbers(values, state.images_seen)
        diagnosis.add({"images_seen": state.images_seen, **values})

    return hook


def numbers(state: TrainState, tick: Tick) -> dict[str, float]:
    """All that is known of a tick, by name."""
    stage = tick.stage
    return {
        **tick.means,
        "progress/kimg": state.kimg,
        "progress/tick": state.tick,
        "progress/hours": state.seconds / 3600,
        "progress/rollbacks": state.rollbacks,
        "schedule/lod": stage.lod,
        "schedule/alpha": stage.alpha,
        "schedule/resolution": stage.resolution,
        "schedule/batch": stage.batch,
        "learning-rate/generator": stage.g_lr,
        "learning-rate/critic": stage.d_lr,
        "speed/images-per-second": tick.images_per_second,
        "speed/data-wait-percent": 100 * tick.data_wait,
        "memory/peak-gib": tick.memory_bytes / 2**30,
    }


def sample_grid(run: Run, directory: Path, monitor: Monitor, dataset: Dataset) -> Hook:
    """Draw the fixed latents with the averaged generator."""

    def hook(state: TrainState, tick: Tick) -> None:
        if tick.done or state.tick % run.output.image_ticks == 0:
            pixels = samples.fakes(state.average, run, tick.stage, dataset.untrained_classes)
            path = snapshot_path(
                directory, FAKES_PREFIX, state.images_seen, ".png", samples.shown_in
            )
            save_png(path, pixels, {samples.IMAGES_SEEN: str(state.images_seen)})
            monitor.picture("samples", pixels, state.images_seen)

    return hook


def sync_ranks(group: Group) -> Hook:
    """The processes wait for the one that writes, and see that their weights are the same."""

    def hook(state: TrainState, tick: Tick) -> None:
        group.barrier()
        require_same_weights(state, group)

    return hook


def snapshot_of(state: TrainState, stage: Stage, dataset: Dataset) -> Snapshot:
    """The averaged generator as it is now."""
    conditional = state.average.config.label_size > 0
    return Snapshot(
        generator=state.average,
        level=stage.level,
        alpha=stage.alpha,
        images_seen=state.images_seen,
        label_names=dataset.label_names if conditional else (),
        untrained_classes=dataset.untrained_classes if conditional else (),
    )


def snapshots(
    run: Run, saver: Saver, dataset: Dataset, measure: Callable[[Snapshot, TrainState], None]
) -> Hook:
    """Save the averaged generator for generate.py, and the state for --resume; then measure."""

    def hook(state: TrainState, tick: Tick) -> None:
        if tick.done or state.tick % run.output.snapshot_ticks == 0:
            snapshot = snapshot_of(state, tick.stage, dataset)
            saver.save(state, snapshot)
            measure(snapshot, state)

    return hook
