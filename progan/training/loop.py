"""The training loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from progan import schedule
from progan.batch_split import Shard
from progan.config import Run
from progan.data.loader import Batch, Prefetcher, prefetch_batches
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.images import save_png
from progan.run_directory import FIRST_FAKES_FILE, REALS_FILE
from progan.runtime.devices import peak_memory_bytes
from progan.runtime.distributed import SINGLE_PROCESS, CollectiveStop, Group
from progan.runtime.log import Log
from progan.runtime.signals import StopSignal
from progan.schedule import Stage
from progan.training import hooks, sample_grids
from progan.training.checkpoint_writer import CheckpointWriter, SavedFiles
from progan.training.diagnostics import measure_diagnostics
from progan.training.guard import (
    Guard,
    TrainingDiverged,
    format_diverged_message,
    reseed_after_rollback,
)
from progan.training.hooks import Callback, Hook, LiveDiagnosis, Tick, build_snapshot
from progan.training.model_cards import ModelCardWriter, describe_machine, describe_training_data
from progan.training.optim import compute_d_rate, enter_phase
from progan.training.progress import Progress
from progan.training.snapshot_metrics import (
    SnapshotMetric,
    SnapshotMetrics,
    is_snapshot_unmeasured,
    list_unmeasured_metrics,
)
from progan.training.state import TrainState
from progan.training.stats_logger import StatsLogger, describe_missing_ticks
from progan.training.step import EAGER_STEPS, Steps
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs
from progan.training.step_stats import StepStats


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainContext:
    """The parts of a training that do not change, unlike its state.

    Attributes:
        metrics: Metrics of each snapshot, by name.
        group: The processes that share each batch; the main one writes files.
        expected: Seconds per image by level, as far as known.
        device_data_bytes: Device memory for images of the dataset.
        callbacks: Functions of the user, called with the statistics of each tick.
    """

    run: Run
    dataset: Dataset
    directory: Path
    device: torch.device
    log: Log
    metrics: Mapping[str, SnapshotMetric] = field(default_factory=dict)
    interrupts: StopSignal = field(default_factory=StopSignal)  # entered by the caller
    group: Group = SINGLE_PROCESS
    steps: Steps = EAGER_STEPS
    expected: Mapping[int, float] = field(default_factory=dict)
    device_data_bytes: int = 0
    callbacks: Sequence[Callback] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopServices:
    """Services that the loop calls."""

    progress: Progress
    at_tick: Sequence[Hook]
    interrupts: CollectiveStop
    guard: Guard
    writer: CheckpointWriter | None  # None in processes that write nothing


class End(NamedTuple):
    """The end of a training.

    Attributes:
        stopped_by: Reason of an early stop; '' if the run is finished.
        saved: The last files on disk; None in processes that write nothing.
    """

    stopped_by: str
    saved: SavedFiles | None


def train(context: TrainContext, state: TrainState) -> End:
    """Train from `state` to the end of the run, or until a signal or the time limit stops it.

    A stop takes effect after the current step: the state and a network are saved. One that cuts
    the metrics of the snapshot short from which a run is resumed takes effect before the first
    step.

    Raises:
        KeyboardInterrupt: At a second signal, at once.
        UserError: Training diverged too often.
    """
    run, group = context.run, context.group
    progress = Progress(run, state.images_seen, context.expected, shown=group.is_main)
    interrupts = context.interrupts
    with closing(progress), ExitStack() as writers:
        at_tick, writer = (
            build_hooks(context, state, progress, writers) if group.is_main else ([], None)
        )
        at_tick.append(hooks.make_rank_sync_hook(group))
        group.barrier()
        services = LoopServices(
            progress=progress, at_tick=at_tick, interrupts=CollectiveStop(interrupts, group),
            writer=writer,
            guard=Guard(
                run, state, context.directory, context.log, writes=group.is_main,
                untrained=context.dataset.untrained_classes,
            ),
        )  # fmt: skip
        finished = False if must_measure_before_training(context, state, services) else None
        while finished is None:
            with closing(start_reading_batches(context, state)) as batches:
                try:
                    finished = train_rounds(context, state, batches, services)
                except TrainingDiverged as diverged:
                    roll_back_or_give_up(context, state, services, diverged)
        saved = writer.finish() if writer else None
    interrupts.ignore_signals()
    return End("" if finished else services.interrupts.reason, saved)


def must_measure_before_training(
    context: TrainContext, state: TrainState, services: LoopServices
) -> bool:
    """Return True in all processes if a stop has cut short the metrics of the present snapshot.

    The next training begins with them; after another step they would never be measured. All
    processes must call this together.
    """
    if not services.interrupts.poll():
        return False
    # Only the main process has metrics.
    return context.group.any(
        is_snapshot_unmeasured(context.directory, context.metrics, state.images_seen)
    )


def roll_back_or_give_up(
    context: TrainContext, state: TrainState, services: LoopServices, diverged: TrainingDiverged
) -> None:
    """Restore the last good state, also on disk; raises UserError if that was too often."""
    may_continue = services.guard.roll_back(state, diverged)
    saved, run = None, context.run
    if services.writer:
        stage = schedule.last_stage(
            run.growth, run.network, state.images_seen, state.round_images_seen, state.phase
        )
        snapshot = build_snapshot(state, stage, context.run, context.dataset)
        for line in services.writer.roll_back_to(state, snapshot):
            context.log(line)
        saved = services.writer.finish()
    context.group.barrier()
    if not may_continue:
        network = saved.network if saved else None
        message = format_diverged_message(
            context.directory, state.kimg, run.guard.rollbacks, network
        )
        context.log.append_to_file(message)
        raise UserError(message)
    services.progress.restart(state.images_seen)


def build_hooks(
    context: TrainContext, state: TrainState, progress: Progress, writers: ExitStack
) -> tuple[list[Hook], CheckpointWriter]:
    """Open the files of a run, to be closed with `writers`; return the hooks that write them."""
    run, directory, log = context.run, context.directory, context.log
    stats = writers.enter_context(closing(StatsLogger(directory, state.images_seen, log)))
    for line in (*stats.repairs, *describe_missing_ticks(directory, state.images_seen, state.tick)):
        log(line)
    cards = ModelCardWriter(
        run=run,
        data=describe_training_data(context.dataset),
        directory=directory,
        machine=describe_machine(context.device, context.group.size),
        log=log,
    )
    writer = writers.enter_context(CheckpointWriter(directory, run, cards))
    if not state.images_seen:
        write_initial_samples(context, state, stats)
    measure = SnapshotMetrics(
        context.metrics, run, directory, stats, log, context.interrupts, writer
    )
    measure.catch_up(state)
    diagnosis = LiveDiagnosis(run, directory, stats, log)
    return [
        hooks.make_statistics_hook(run, stats, diagnosis),
        hooks.make_status_line_hook(run, log, progress.eta, diagnosis),
        hooks.make_sample_grid_hook(run, directory, stats, context.dataset),
        hooks.make_snapshot_hook(run, writer, context.dataset, measure),
        hooks.make_callback_hook(run, context.callbacks, writer),
    ], writer


def start_reading_batches(context: TrainContext, state: TrainState) -> Prefetcher:
    """Start reading batches from the present position of the state."""
    return prefetch_batches(
        context.dataset, reseed_after_rollback(context.run, state.rollbacks), context.device,
        state.images_seen, state.round_images_seen, Shard(context.group.rank, context.group.size),
        context.device_data_bytes, context.log,
    )  # fmt: skip


def train_rounds(
    context: TrainContext, state: TrainState, batches: Prefetcher, services: LoopServices
) -> bool:
    """Train round after round, with the hooks at the end of each tick.

    Returns True at the end of the run, False if it was stopped before. Raises TrainingDiverged.
    """
    run, stats = reseed_after_rollback(context.run, state.rollbacks), StepStats(state.stat_sums)
    writer = services.writer
    for start, stage in schedule.iterate_rounds(
        run.growth, run.network, state.images_seen, state.round_images_seen
    ):
        state.round_images_seen = start
        enter_phase(state, stage, run)
        train_round(run, state, stage, batches, stats, services.interrupts.poll, context.steps)
        services.progress.update(stage, state.images_seen)
        round_ended = state.round_images_seen == state.images_seen
        done = round_ended and state.images_seen >= run.growth.total_kimg * 1000
        tick_end = state.tick_images_seen + stage.tick_kimg * 1000
        at_end = done or round_ended and state.images_seen >= tick_end
        stopping = services.interrupts.poll()
        due = context.group.any(writer is not None and writer.due)
        services.guard.check(state, stage, stats, now=at_end or stopping or due)
        if at_end:
            tick = end_tick(context, state, stage, batches, stats, done=done)
            for hook in services.at_tick:
                hook(state, tick)
            services.guard.mark_good(state)
            stats.restart()
            services.progress.restart(state.images_seen)
            # A signal may have cut the metrics short: nothing more is trained, so that a resumed
            # run begins with them.
            stopping = services.interrupts.poll()
        if writer and (due or stopping and not done):
            snapshot = build_snapshot(state, stage, context.run, context.dataset)
            writer.save_interim(state, snapshot, stats.seconds)
        if stopping and not done:
            return False
        if writer:
            writer.check()
    return not (
        services.interrupts.poll()
        and list_unmeasured_metrics(context.directory, context.metrics, state.images_seen)
    )


def train_round(
    run: Run,
    state: TrainState,
    stage: Stage,
    batches: Iterator[Batch],
    stats: StepStats,
    stop: Callable[[], bool] = lambda: False,
    steps: Steps = EAGER_STEPS,
) -> None:
    """Train to the end of a round at one stage, or to the first step after which to `stop`.

    Starts in the middle of the round if the state is there. The generator step after every
    `d_repeats` discriminator steps counts to the last of them.
    """
    position = LevelAlpha.of(stage, next(state.generator.parameters()).device)
    d_repeats = run.growth.d_repeats
    d_lr = compute_d_rate(run.loss, stage)
    first = (state.images_seen - state.round_images_seen) // stage.batch
    for step in range(first, run.growth.minibatch_repeats * d_repeats):
        if step > first and stop():
            return
        batch = next(batches)
        d_inputs = discriminator_inputs(run, batch, position, state.images_seen)
        stats.add(steps.discriminator(state, run, position, d_lr, d_inputs), images=stage.batch)
        state.images_seen += stage.batch
        if (step + 1) % d_repeats == 0:
            g_inputs = generator_inputs(run, batch, position, state.images_seen)
            stats.add(steps.generator(state, run, position, stage.g_lr, g_inputs))
    state.round_images_seen = state.images_seen


def end_tick(
    context: TrainContext,
    state: TrainState,
    stage: Stage,
    batches: Prefetcher,
    stats: StepStats,
    *,
    done: bool,
) -> Tick:
    """Advance the tick counters of the state, and summarise the tick."""
    means, images, seconds = stats.take()
    wait, batches.wait_seconds = batches.wait_seconds, 0.0
    state.tick += 1
    state.tick_images_seen = state.images_seen
    state.seconds += seconds
    means |= measure_diagnostics(
        state, context.run, context.dataset, stage, context.device, context.log
    )
    return Tick(
        stage=stage, done=done, means=means, images_per_second=images / seconds,
        data_wait=wait / seconds, memory_bytes=peak_memory_bytes(context.device),
    )  # fmt: skip


def write_initial_samples(context: TrainContext, state: TrainState, stats: StatsLogger) -> None:
    """Write grids of reals and of samples of the untrained generator."""
    run = context.run
    stage = schedule.stage_at(run.growth, run.network, 0)
    untrained = context.dataset.untrained_classes
    for name, file, pixels in (
        ("reals", REALS_FILE, sample_grids.reals_grid(context.dataset, run)),
        ("samples", FIRST_FAKES_FILE, sample_grids.fakes_grid(state.g_ema, run, stage, untrained)),
    ):
        save_png(context.directory / file, pixels)
        stats.log_image(name, pixels, 0)
