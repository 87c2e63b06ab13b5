"""The training loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import torch

from progan import schedule
from progan.config import Run
from progan.data.loader import Batch, Prefetch, read_batches
from progan.data.reader import Dataset
from progan.images import save_png
from progan.partition import Share
from progan.run_directory import FIRST_FAKES_FILE, REALS_FILE
from progan.runtime.devices import peak_memory_bytes
from progan.runtime.distributed import ALONE, Agreed, Group
from progan.runtime.interrupts import Interrupts
from progan.runtime.log import Log
from progan.schedule import Stage
from progan.training import hooks, samples
from progan.training.checkpoint import save_state
from progan.training.hooks import Hook, Tick
from progan.training.measurements import Measure, Measurements
from progan.training.meter import Meter
from progan.training.monitor import Monitor
from progan.training.overfitting import overfitting
from progan.training.passes import ALL_AT_ONCE, Passes
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
    group: Group = ALONE  # of processes that share each batch; only its leader writes
    passes_at: Callable[[int], Passes] = lambda level: ALL_AT_ONCE


def train(session: Session, state: TrainState) -> None:
    """Train from where `state` is to the end of the run, in its directory.

    Ctrl-C and SIGTERM are heard between two rounds: the state is saved, and KeyboardInterrupt
    raised.
    """
    run, group = session.run, session.group
    batches = Prefetch(read_batches(session.dataset, run, state.images_seen,
                                    Share(group.rank, group.size)), session.device)
    progress = Progress(run, state.images_seen, shown=group.leads)
    with ExitStack() as stack:
        stack.enter_context(closing(batches))
        stack.enter_context(closing(progress))
        interrupts = stack.enter_context(Interrupts())
        at_tick = [hooks.meeting(group)]
        if group.leads:
            monitor = stack.enter_context(
                closing(Monitor(session.directory, state.images_seen)))
            if not state.images_seen:
                show_beginning(session, state, monitor)
            at_tick = [
                hooks.status_line(run, session.log, progress.forecast),
                hooks.curves(monitor),
                hooks.sample_grid(run, session.directory, monitor),
                hooks.snapshots(run, session.directory, session.dataset.label_names,
                                Measurements(session.measures, run, session.directory, monitor,
                                             session.log, interrupts)),
                *at_tick,
            ]
        group.wait()
        train_rounds(session, state, batches, progress, at_tick, Agreed(interrupts, group))


def train_rounds(session: Session, state: TrainState, batches: Prefetch, progress: Progress,
                 at_tick: Sequence[Hook], interrupts: Agreed) -> None:
    """Train round after round; at the end of each tick run the hooks."""
    run, meter = session.run, Meter()
    for _, stage in schedule.rounds(run.growth, run.network, state.images_seen):
        enter_phase(state, stage, run)
        train_round(run, state, stage, batches, meter, session.passes_at(stage.level))
        progress.update(stage, state.images_seen)
        done = state.images_seen >= run.growth.total_kimg * 1000
        if done or state.images_seen >= state.tick_images_seen + stage.tick_kimg * 1000:
            tick = end_tick(session, state, stage, batches, meter, done=done)
            for hook in at_tick:
                hook(state, tick)
            meter.restart()
            progress.restart()
        if interrupts.requested and not done:
            state.seconds += meter.take()[2]
            if session.group.leads:
                save_state(session.directory, state, run)
            raise KeyboardInterrupt


def train_round(run: Run, state: TrainState, stage: Stage, batches: Iterator[Batch],
                meter: Meter, passes: Passes = ALL_AT_ONCE) -> None:
    """Train `minibatch_repeats` iterations at one stage."""
    place = Place.of(stage, next(state.generator.parameters()).device)
    for _ in range(run.growth.minibatch_repeats):
        for _ in range(run.growth.d_repeats):
            batch = next(batches)
            inputs = critic_inputs(run, batch, place, state.images_seen)
            meter.add(critic_step(state, run, place, stage.d_lr, inputs, passes),
                      images=stage.batch)
            state.images_seen += stage.batch
        drawn = generator_inputs(run, batch, place, state.images_seen)
        meter.add(generator_step(state, run, place, stage.g_lr, drawn, passes))


def end_tick(session: Session, state: TrainState, stage: Stage, batches: Prefetch, meter: Meter,
             *, done: bool) -> Tick:
    """Advance the tick clocks of the state and sum the tick up."""
    means, images, seconds = meter.take()
    wait, batches.wait_seconds = batches.wait_seconds, 0.0
    state.tick += 1
    state.tick_images_seen = state.images_seen
    state.seconds += seconds
    means |= overfitting(state, session.run, session.dataset, stage, session.device)
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
