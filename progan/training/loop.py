"""The training loop."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from progan import schedule
from progan.config import Run
from progan.data.loader import Batch, Prefetch, read_batches
from progan.data.reader import Dataset
from progan.images import save_png
from progan.run_directory import FIRST_FAKES_FILE, REALS_FILE
from progan.runtime.devices import peak_memory_bytes
from progan.runtime.interrupts import Interrupts
from progan.runtime.log import Log
from progan.schedule import Stage
from progan.training import hooks, samples
from progan.training.checkpoint import save_state
from progan.training.diagnosing import Diagnosis
from progan.training.diversity import diversity
from progan.training.guard import Guard, Unsound, reseeded
from progan.training.hooks import Hook, Tick
from progan.training.measurements import Measure, Measurements
from progan.training.meter import Meter
from progan.training.monitor import Monitor
from progan.training.overfitting import overfitting
from progan.training.progress import Progress
from progan.training.state import TrainState, enter_phase
from progan.training.steps import (
    Place,
    critic_inputs,
    critic_step,
    generator_inputs,
    generator_step,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """What a training works with; none of it belongs to the state."""

    run: Run
    dataset: Dataset
    directory: Path
    device: torch.device
    log: Log
    measures: Mapping[str, Measure] = field(default_factory=dict)  # of each snapshot, by name


def train(session: Session, state: TrainState) -> None:
    """Train from where `state` is to the end of the run, in its directory.

    Ctrl-C and SIGTERM are heard between two rounds: the state is saved, and KeyboardInterrupt
    raised. UserError if the guard went back as often as it may.
    """
    run = session.run
    monitor = Monitor(session.directory, state.images_seen)
    progress = Progress(run, state.images_seen)
    with closing(monitor), closing(progress), Interrupts() as interrupts:
        if not state.images_seen:
            show_beginning(session, state, monitor)
        diagnosis = Diagnosis(run, session.directory, monitor, session.log)
        at_tick = [
            hooks.curves(monitor, diagnosis),
            hooks.status_line(run, session.log, progress.forecast, diagnosis),
            hooks.sample_grid(run, session.directory, monitor),
            hooks.snapshots(run, session.directory, session.dataset.label_names,
                            Measurements(session.measures, run, session.directory, monitor,
                                         session.log, interrupts)),
        ]
        guard = Guard(run, state, session.directory, session.log)
        while not is_done(run, state):
            drawn = read_batches(session.dataset, reseeded(run, state.rollbacks),
                                 state.images_seen)
            with closing(Prefetch(drawn, session.device)) as batches:
                try:
                    train_rounds(session, state, batches, progress, at_tick, interrupts, guard)
                except Unsound as unsound:
                    guard.roll_back(state, unsound)
                    progress.restart(state.images_seen)


def train_rounds(session: Session, state: TrainState, batches: Prefetch, progress: Progress,
                 at_tick: Sequence[Hook], interrupts: Interrupts, guard: Guard) -> None:
    """Train round after round; at the end of each tick run the hooks. Raises Unsound."""
    run, meter = reseeded(session.run, state.rollbacks), Meter()
    for _, stage in schedule.rounds(run.growth, run.network, state.images_seen):
        enter_phase(state, stage, run)
        train_round(run, state, stage, batches, meter)
        progress.update(stage, state.images_seen)
        done = is_done(run, state)
        at_end = done or state.images_seen >= state.tick_images_seen + stage.tick_kimg * 1000
        guard.check(state, stage, meter, now=at_end or interrupts.requested)
        if at_end:
            tick = end_tick(session, state, stage, batches, meter, done=done)
            for hook in at_tick:
                hook(state, tick)
            guard.keep(state)
            meter.restart()
            progress.restart(state.images_seen)
        if interrupts.requested and not done:
            state.seconds += meter.take()[2]
            save_state(session.directory, state, session.run)
            raise KeyboardInterrupt


def is_done(run: Run, state: TrainState) -> bool:
    return state.images_seen >= run.growth.total_kimg * 1000


def train_round(run: Run, state: TrainState, stage: Stage, batches: Iterator[Batch],
                meter: Meter) -> None:
    """Train `minibatch_repeats` iterations at one stage."""
    place = Place.of(stage, next(state.generator.parameters()).device)
    for _ in range(run.growth.minibatch_repeats):
        for _ in range(run.growth.d_repeats):
            batch = next(batches)
            inputs = critic_inputs(run, batch, place, state.images_seen)
            meter.add(critic_step(state, run, place, stage.d_lr, inputs), images=stage.batch)
            state.images_seen += stage.batch
        drawn = generator_inputs(run, batch, place, state.images_seen)
        meter.add(generator_step(state, run, place, stage.g_lr, drawn))


def end_tick(session: Session, state: TrainState, stage: Stage, batches: Prefetch, meter: Meter,
             *, done: bool) -> Tick:
    """Advance the tick clocks of the state and sum the tick up."""
    means, images, seconds = meter.take()
    wait, batches.wait_seconds = batches.wait_seconds, 0.0
    state.tick += 1
    state.tick_images_seen = state.images_seen
    state.seconds += seconds
    means |= overfitting(state, session.run, session.dataset, stage, session.device)
    means |= diversity(state, session.run, session.dataset, stage, session.device)
    return Tick(stage=stage, done=done, means=means, images_per_second=images / seconds,
                data_wait=wait / seconds, memory_bytes=peak_memory_bytes(session.device))


def show_beginning(session: Session, state: TrainState, monitor: Monitor) -> None:
    """Draw the reals, and what the generator makes of the seeds before it learned anything."""
    run = session.run
    stage = schedule.at(run.growth, run.network, 0)
    first = samples.fakes(state.average, run, stage)
    for name, file, pixels in (("reals", REALS_FILE, samples.reals(session.dataset, run)),
                               ("samples", FIRST_FAKES_FILE, first)):
        save_png(session.directory / file, pixels)
        monitor.picture(name, pixels, 0)
