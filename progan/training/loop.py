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
from progan.runtime.stop_signal import StopSignal
from progan.schedule import Stage
from progan.training import hooks, samples
from progan.training.cards import Cards, describe_machine, training_data_of
from progan.training.diversity import diversity
from progan.training.guard import Guard, TrainingDiverged, reseeded, stop_message
from progan.training.hooks import Diagnosis, Hook, Tick, snapshot_of
from progan.training.meter import StepStats
from progan.training.monitor import Monitor, missing_ticks
from progan.training.overfitting import overfitting
from progan.training.progress import Progress
from progan.training.saver import Saved, Saver
from progan.training.snapshot_metrics import Measure, Measurements
from progan.training.state import TrainState, enter_phase
from progan.training.step import (
    PLAIN_STEPS,
    LevelAlpha,
    Steps,
    discriminator_inputs,
    generator_inputs,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainContext:
    """What a training works with beside its state."""

    run: Run
    dataset: Dataset
    directory: Path
    device: torch.device
    log: Log
    measures: Mapping[str, Measure] = field(default_factory=dict)  # of each snapshot, by name
    interrupts: StopSignal = field(default_factory=StopSignal)  # in their context
    group: Group = (
        SINGLE_PROCESS  # the processes that share each batch; its leader is the one that writes
    )
    steps: Steps = PLAIN_STEPS
    expected: Mapping[int, float] = field(default_factory=dict)  # seconds per image by level
    device_data_bytes: int = 0  # of the device's memory, for images of the dataset


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopServices:
    """Services that the loop calls."""

    progress: Progress
    at_tick: Sequence[Hook]
    interrupts: CollectiveStop
    guard: Guard
    saver: Saver | None  # the leader's


class End(NamedTuple):
    """How a training ended.

    Attributes:
        stopped_by: What stopped it before the end of the run; '' if it went on to there.
        saved: What is on disk of its last moment; None in a process that writes nothing.
    """

    stopped_by: str
    saved: Saved | None


def train(context: TrainContext, state: TrainState) -> End:
    """Train from where `state` is to the end of the run, in its directory.

    `interrupts` are heard after each step: the state and a network are saved, and what it was that
    stopped the run is returned. A second signal raises KeyboardInterrupt at once, and UserError
    comes of a guard that went back too often.
    """
    run, group = context.run, context.group
    progress = Progress(run, state.images_seen, context.expected, shown=group.is_main)
    interrupts = context.interrupts
    with closing(progress), ExitStack() as writers:
        at_tick, saver = (
            build_hooks(context, state, progress, interrupts, writers)
            if (group.is_main)
            else ([], None)
        )
        at_tick.append(hooks.sync_ranks(group))
        group.barrier()
        services = LoopServices(
            progress=progress,
            at_tick=at_tick,
            interrupts=CollectiveStop(interrupts, group),
            saver=saver,
            guard=Guard(
                run,
                state,
                context.directory,
                context.log,
                writes=group.is_main,
                untrained=context.dataset.untrained_classes,
            ),
        )
        ended = None
        while ended is None:
            with closing(batches_from(context, state)) as batches:
                try:
                    ended = train_rounds(context, state, batches, services)
                except TrainingDiverged as diverged:
                    go_back(context, state, services, diverged)
        saved = saver.finish() if saver else None
    interrupts.ignore_signals()
    return End("" if ended else services.interrupts.reason, saved)


def go_back(
    context: TrainContext, state: TrainState, services: LoopServices, diverged: TrainingDiverged
) -> None:
    """Go back to the last good state, on disk too; UserError if that was too often."""
    goes_on = services.guard.roll_back(state, diverged)
    saved, run = None, context.run
    if services.saver:
        stage = schedule.at(run.growth, run.network, max(state.images_seen - 1, 0))
        snapshot = snapshot_of(state, stage, context.dataset)
        for line in services.saver.return_to(state, snapshot):
            context.log(line)
        saved = services.saver.finish()
    context.group.barrier()
    if not goes_on:
        message = stop_message(
            context.directory, state.kimg, run.guard.rollbacks, saved.network if saved else None
        )
        context.log.append_to_file(message)
        raise UserError(message)
    services.progress.restart(state.images_seen)


def build_hooks(
    context: TrainContext,
    state: TrainState,
    progress: Progress,
    interrupts: StopSignal,
    writers: ExitStack,
) -> tuple[list[Hook], Saver]:
    """Open what a run writes to, for as long as `writers` lasts: the hooks, and the saver."""
    run = context.run
    monitor = writers.enter_context(
        closing(Monitor(context.directory, state.images_seen, context.log))
    )
    for line in (
        *monitor.repairs,
        *missing_ticks(context.directory, state.images_seen, state.tick),
    ):
        context.log(line)
    cards = Cards(
        run=run,
        data=training_data_of(context.dataset),
        directory=context.directory,
        machine=describe_machine(context.device, context.group.size),
        log=context.log,
    )
    saver = writers.enter_context(Saver(context.directory, run, cards))
    if not state.images_seen:
        write_initial_samples(context, state, monitor)
    measure = Measurements(
        context.measures, run, context.directory, monitor, context.log, interrupts, saver
    )
    measure.catch_up(state)
    diagnosis = Diagnosis(run, context.directory, monitor, context.log)
    return [
        hooks.curves(monitor, diagnosis),
        hooks.status_line(run, context.log, progress.forecast, diagnosis),
        hooks.sample_grid(run, context.directory, monitor, context.dataset),
        hooks.snapshots(run, saver, context.dataset, measure),
    ], saver


def batches_from(context: TrainContext, state: TrainState) -> Prefetcher:
    """Read batches from here on."""
    run = reseeded(context.run, state.rollbacks)
    share = Shard(context.group.rank, context.group.size)
    return prefetch_batches(
        context.dataset,
        run,
        context.device,
        state.images_seen,
        state.round_images_seen,
        share,
        context.device_data_bytes,
        context.log,
    )


def train_rounds(
    context: TrainContext, state: TrainState, batches: Prefetcher, services: LoopServices
) -> bool:
    """Train round after round, with the hooks at the end of each tick; return whether it ended.

    Raises TrainingDiverged.
    """
    run, meter = reseeded(context.run, state.rollbacks), StepStats(state.tally)
    for start, stage in schedule.rounds(
        run.growth, run.network, state.images_seen, state.round_images_seen
    ):
        state.round_images_seen = start
        enter_phase(state, stage, run)
        train_round(
            run, state, stage, batches, meter, lambda: services.interrupts.requested, context.steps
        )
        services.progress.update(stage, state.images_seen)
        round_ended = state.round_images_seen == state.images_seen
        done = round_ended and state.images_seen >= run.growth.total_kimg * 1000
        tick_end = state.tick_images_seen + stage.tick_kimg * 1000
        at_end = done or round_ended and state.images_seen >= tick_end
        stopping = services.interrupts.requested
        due = context.group.any(services.saver is not None and services.saver.due)
        services.guard.check(state, stage, meter, now=at_end or stopping or due)
        if at_end:
            tick = end_tick(context, state, stage, batches, meter, done=done)
            for hook in services.at_tick:
                hook(state, tick)
            services.guard.keep(state)
            meter.restart()
            services.progress.restart(state.images_seen)
        if services.saver and (due or stopping and not done):
            snapshot = snapshot_of(state, stage, context.dataset)
            services.saver.save_interim(state, snapshot, meter.seconds)
        if stopping and not done:
            return False
        if services.saver:
            services.saver.check()
    # The last measurements may be cut short.
    return not (services.interrupts.requested and context.measures)


def train_round(
    run: Run,
    state: TrainState,
    stage: Stage,
    batches: Iterator[Batch],
    meter: StepStats,
    stop: Callable[[], bool] = lambda: False,
    steps: Steps = PLAIN_STEPS,
) -> None:
    """Train to the end of a round at one stage, or to the first step after which to `stop`.

    The state tells at which step of the round it is. Each discriminator step is one, together
    with the generator step after every `d_repeats` of them.
    """
    position = LevelAlpha.of(stage, next(state.generator.parameters()).device)
    d_repeats = run.growth.d_repeats
    first = (state.images_seen - state.round_images_seen) // stage.batch
    for step in range(first, run.growth.minibatch_repeats * d_repeats):
        if step > first and stop():
            return
        batch = next(batches)
        inputs = discriminator_inputs(run, batch, position, state.images_seen)
        meter.add(steps.discriminator(state, run, position, stage.d_lr, inputs), images=stage.batch)
        state.images_seen += stage.batch
        if (step + 1) % d_repeats == 0:
            drawn = generator_inputs(run, batch, position, state.images_seen)
            meter.add(steps.generator(state, run, position, stage.g_lr, drawn))
    state.round_images_seen = state.images_seen


def end_tick(
    context: TrainContext,
    state: TrainState,
    stage: Stage,
    batches: Prefetcher,
    meter: StepStats,
    *,
    done: bool,
) -> Tick:
    """Advance the tick clocks of the state and sum the tick up."""
    means, images, seconds = meter.take()
    wait, batches.wait_seconds = batches.wait_seconds, 0.0
    state.tick += 1
    state.tick_images_seen = state.images_seen
    state.seconds += seconds
    means |= overfitting(state, context.run, context.dataset, stage, context.device)
    means |= diversity(state, context.run, context.dataset, stage, context.device)
    return Tick(
        stage=stage,
        done=done,
        means=means,
        images_per_second=images / seconds,
        data_wait=wait / seconds,
        memory_bytes=peak_memory_bytes(context.device),
    )


def write_initial_samples(context: TrainContext, state: TrainState, monitor: Monitor) -> None:
    """Draw the reals, and what the generator makes of the seeds before it learned anything."""
    run = context.run
    stage = schedule.at(run.growth, run.network, 0)
    first = samples.fakes(state.average, run, stage, context.dataset.untrained_classes)
    for name, file, pixels in (
        ("reals", REALS_FILE, samples.reals(context.dataset, run)),
        ("samples", FIRST_FAKES_FILE, first),
    ):
        save_png(context.directory / file, pixels)
        monitor.picture(name, pixels, 0)
