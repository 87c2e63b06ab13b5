"""Hooks at the end of a tick. A hook gets the state and the tick, and changes neither."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from progan.config import Run
from progan.data.reader import Dataset
from progan.diagnosis.diagnose import SYMPTOMS, diagnose
from progan.diagnosis.history import History, Row, read_rows
from progan.diagnosis.status import Status, format_finding, format_summary
from progan.images import save_png
from progan.invocation import command_line
from progan.run_directory import FAKES_PREFIX, STATISTICS_FILE, choose_snapshot_path
from progan.runtime.distributed import Group
from progan.runtime.log import Log
from progan.runtime.text import format_duration, format_percent, format_rate
from progan.sampling.snapshot_file import Snapshot
from progan.schedule import Stage, get_first_trained_level
from progan.training import sample_grids
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.optim import compute_d_rate
from progan.training.progress import EtaEstimator, describe_stage, format_kimg
from progan.training.state import TrainState
from progan.training.state_sync import require_same_weights
from progan.training.stats_logger import StatsLogger


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A finished tick."""

    stage: Stage
    done: bool  # the run ends here
    means: dict[str, float]  # means of the statistics of all steps
    images_per_second: float
    data_wait: float  # share of the time in which training waited for data
    memory_bytes: int  # peak


Hook = Callable[[TrainState, Tick], None]
Callback = Callable[[Mapping[str, float]], object]  # gets the statistics of a tick


class LiveDiagnosis:
    """The diagnosis after each tick; changes go to the log and, as text, to TensorBoard.

    It is not written to stats.jsonl, since it follows from its rows.
    """

    def __init__(self, run: Run, directory: Path, stats: StatsLogger, log: Log) -> None:
        self._rows: list[Row] = read_rows(directory / STATISTICS_FILE)
        self._run, self._stats, self._log = run, stats, log
        self._plot_command = command_line("diagnosis", directory, "--plot", "curves.png")
        self.status = self._diagnose()

    def add(self, row: Row) -> None:
        """Update the diagnosis with the statistics of another tick."""
        self._rows.append(row)
        before, self.status = self.status, self._diagnose()
        images_seen = int(row["images_seen"])
        found = {finding.name for finding in self.status.findings}
        self._stats.log_scalars(
            {
                f"diagnosis/{symptom.name.replace(' ', '-')}": float(symptom.name in found)
                for symptom in SYMPTOMS
            },
            images_seen,
        )
        known = {finding.name for finding in before.findings}
        if found != known or before.is_conclusive != self.status.is_conclusive:
            self._log_change(known, images_seen)

    def _diagnose(self) -> Status:
        return diagnose(History.of_run(self._rows, self._run))

    def _log_change(self, known: set[str], images_seen: int) -> None:
        new = [
            format_finding(finding) for finding in self.status.findings if finding.name not in known
        ]
        lines = [f"Diagnosis: {words}" for words in new or [format_summary(self.status)]]
        for line in lines:
            self._log(f"{line} (Curves: {self._plot_command})" if new else line)
        self._stats.log_text("diagnosis", "\n\n".join(lines), images_seen)


def make_status_line_hook(run: Run, log: Log, eta: EtaEstimator, diagnosis: LiveDiagnosis) -> Hook:
    """Log a line per tick; must come after `make_statistics_hook`, which updates the diagnosis."""

    def hook(state: TrainState, tick: Tick) -> None:
        phase_left, left = eta.remaining_seconds(state.images_seen)
        total = run.growth.total_kimg
        kimg = f"{format_kimg(state.kimg, total)}/{total:g} ({100 * state.kimg / total:.1f}%)"
        parts = [
            f"tick {state.tick}",
            f"kimg {kimg}",
            describe_stage(tick.stage, run.network),
            f"batch {tick.stage.batch}",
            f"{format_rate(tick.images_per_second)} img/s",
            f"data-wait {format_percent(tick.data_wait)}",
            f"mem {tick.memory_bytes / 2**30:.1f} GiB",
            f"time {format_duration(state.seconds)}",
            f"ETA {format_duration(left)} (phase {format_duration(phase_left)})",
            *([f"rollbacks {state.rollbacks}"] if state.rollbacks else []),
            diagnosis.status.brief,
        ]
        log("  ".join(parts))

    return hook


def make_statistics_hook(run: Run, stats: StatsLogger, diagnosis: LiveDiagnosis) -> Hook:
    """Write all statistics to TensorBoard and stats.jsonl, and update the diagnosis."""

    def hook(state: TrainState, tick: Tick) -> None:
        values = collect_tick_statistics(run, state, tick)
        stats.log_statistics(values, state.images_seen)
        diagnosis.add({"images_seen": state.images_seen, **values})

    return hook


def make_callback_hook(run: Run, callbacks: Sequence[Callback], writer: CheckpointWriter) -> Hook:
    """Call functions of the user with the statistics of each tick, once all files are written."""

    def hook(state: TrainState, tick: Tick) -> None:
        if callbacks:
            writer.finish()
        for callback in callbacks:
            callback(collect_tick_statistics(run, state, tick))

    return hook


def collect_tick_statistics(run: Run, state: TrainState, tick: Tick) -> dict[str, float]:
    """Return all statistics of a tick by their names in files."""
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
        "learning-rate/critic": compute_d_rate(run.loss, stage),
        "speed/images-per-second": tick.images_per_second,
        "speed/data-wait-percent": 100 * tick.data_wait,
        "memory/peak-gib": tick.memory_bytes / 2**30,
    }


def make_sample_grid_hook(run: Run, directory: Path, stats: StatsLogger, dataset: Dataset) -> Hook:
    """Save a grid of samples of g_ema, from the same latents each time."""

    def hook(state: TrainState, tick: Tick) -> None:
        if tick.done or state.tick % run.output.image_ticks == 0:
            images_seen = state.images_seen
            pixels = sample_grids.fakes_grid(
                state.g_ema, run, tick.stage, dataset.untrained_classes
            )
            path = choose_snapshot_path(
                directory, FAKES_PREFIX, images_seen, ".png", sample_grids.read_grid_images_seen
            )
            save_png(path, pixels, {sample_grids.IMAGES_SEEN: str(images_seen)})
            stats.log_image("samples", pixels, images_seen)

    return hook


def make_rank_sync_hook(group: Group) -> Hook:
    """Wait for the process that writes, and check that all have the same weights."""

    def hook(state: TrainState, tick: Tick) -> None:
        group.barrier()
        require_same_weights(state, group)

    return hook


def build_snapshot(state: TrainState, stage: Stage, run: Run, dataset: Dataset) -> Snapshot:
    """Return g_ema as the content of a network file."""
    conditional = state.g_ema.config.label_size > 0
    return Snapshot(
        generator=state.g_ema,
        level=stage.level,
        alpha=stage.alpha,
        images_seen=state.images_seen,
        label_names=dataset.label_names if conditional else (),
        untrained_classes=dataset.untrained_classes if conditional else (),
        first_level=get_first_trained_level(run),
    )


def make_snapshot_hook(
    run: Run,
    writer: CheckpointWriter,
    dataset: Dataset,
    measure: Callable[[Snapshot, TrainState], None],
) -> Hook:
    """Save g_ema for generate.py and the state for --resume, then compute the metrics."""

    def hook(state: TrainState, tick: Tick) -> None:
        if tick.done or state.tick % run.output.snapshot_ticks == 0:
            snapshot = build_snapshot(state, tick.stage, run, dataset)
            writer.save(state, snapshot)
            measure(snapshot, state)

    return hook
