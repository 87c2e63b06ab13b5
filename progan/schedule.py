"""Pure schedule maths: images_seen -> Stage.

`images_seen` is the only clock: no counters, no state, so resuming is trivial. Each resolution
but the first is faded in for `transition_kimg` and then trained for `training_kimg` (section 2
and appendix A.1 of the paper; the numbers equal the official TrainingSchedule to the digit).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from progan.config import Growth, Network, Run
from progan.sizes import MIN_LEVEL, level_of

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Stage:
    """Level, fade, batch size and learning rates of one round of training."""

    level: int  # log2 of the resolution that is trained
    alpha: float  # weight of the newest layers, in (0, 1]; 1: fully faded in
    lod: float  # the official clock: log2(final / trained resolution), fractional while fading
    phase: int  # 0, 1, 2 …: stable, fading, stable, …; Adam is reset where it changes
    batch: int  # images per step
    g_lr: float
    d_lr: float
    tick_kimg: float

    @property
    def resolution(self) -> int:
        return 1 << self.level

    @property
    def fading(self) -> bool:
        return self.alpha < 1


@dataclass(frozen=True, slots=True)
class Phase:
    """A period of training at one resolution, either fading or stable."""

    start_kimg: float
    end_kimg: float
    stage: Stage  # with alpha 0.5 in a fade

    @property
    def kimg(self) -> float:
        return self.end_kimg - self.start_kimg


def stage_at(growth: Growth, network: Network, images_seen: int) -> Stage:
    """Return the stage after `images_seen` real images were shown."""
    kimg = images_seen / 1000.0
    trained = kimg + growth.training_kimg if growth.fade_first else kimg
    period = growth.training_kimg + growth.transition_kimg
    period_index = math.floor(trained / period)
    lod = float(network.max_level - get_first_level(growth, network) - period_index)
    if growth.transition_kimg > 0:
        faded_kimg = trained - period_index * period - growth.training_kimg
        lod -= max(faded_kimg, 0.0) / growth.transition_kimg
    return _make_stage(growth, network, max(lod, 0.0), _compute_rate_factor(growth, kimg))


def last_stage(
    growth: Growth, network: Network, images_seen: int, round_images_seen: int, phase: int
) -> Stage:
    """Return the stage of the last step before `images_seen`.

    At the end of a round, `stage_at` would return the stage of the next one.

    Args:
        round_images_seen: Images seen when the present round began.
        phase: Of the last step. It decides where batches of two sizes could both have ended here.
    """
    if round_images_seen < images_seen or not images_seen:
        return stage_at(growth, network, round_images_seen)
    for batch in {growth.batch, *dict(growth.batch_at).values()}:
        start = images_seen - _count_d_steps_per_round(growth) * batch
        stage = stage_at(growth, network, max(start, 0))
        if start >= 0 and (stage.batch, stage.phase) == (batch, phase):
            return stage
    return stage_at(growth, network, images_seen)  # the settings have changed since


def iterate_phases(growth: Growth, network: Network) -> Iterator[Phase]:
    """Yield the phases of a run in order, cut where it ends."""
    start = 0.0
    last_level = network.max_level
    level = first = get_first_level(growth, network)
    while start < growth.total_kimg:
        training = 0.0 if growth.fade_first and level == first else growth.training_kimg
        stable_end = start + training if level < last_level else growth.total_kimg
        for end, lod in (
            (stable_end, last_level - level),
            (stable_end + growth.transition_kimg, last_level - level - 0.5),
        ):
            end = min(end, growth.total_kimg)
            if end > start:
                factor = _compute_rate_factor(growth, start)
                yield Phase(start, end, _make_stage(growth, network, lod, factor))
            start = end
        level += 1


def compute_fully_grown_kimg(growth: Growth, network: Network) -> float:
    """Return the kimg at which the last resolution is fully faded in."""
    period = growth.training_kimg + growth.transition_kimg
    fades = network.max_level - get_first_level(growth, network)
    return max(fades * period - growth.training_kimg * growth.fade_first, 0.0)


def iterate_boundary_rounds(growth: Growth, network: Network) -> Iterator[tuple[int, Stage]]:
    """Yield (images seen at its start, stage) of the first and last rounds of each phase.

    A subset of `iterate_rounds` that includes the very last one, found fast: a long run has
    millions of rounds. A phase that is shorter than a round may have none.
    """
    ends = {phase.stage.phase: phase.end_kimg * 1000 for phase in iterate_phases(growth, network)}
    start = 0
    while start < growth.total_kimg * 1000:
        stage = stage_at(growth, network, start)
        yield start, stage
        step = images_per_round(growth, stage)
        whole_rounds = int((ends.get(stage.phase, 0.0) - start) / step)
        start += step * max(whole_rounds - 1, 1)


def get_first_level(growth: Growth, network: Network) -> int:
    """Return the level where training begins: for networks that do not grow, the last one."""
    return level_of(growth.initial_resolution) if network.grows else network.max_level


def get_first_trained_level(run: Run) -> int:
    """Return the lowest level that the networks were trained at.

    With --init-from it is taken to be the lowest of all: the source was trained before.
    """
    return MIN_LEVEL if run.init_from else get_first_level(run.growth, run.network)


def iterate_rounds(
    growth: Growth, network: Network, images_seen: int, round_images_seen: int | None = None
) -> Iterator[tuple[int, Stage]]:
    """Yield (images seen at its start, stage) of each round from `images_seen` to the run's end.

    A round is `minibatch_repeats` iterations under one stage, each of `d_repeats`
    discriminator steps and one generator step.

    Args:
        round_images_seen: Start of the round that contains `images_seen`, which is yielded first.
            If changed settings put `images_seen` between its steps, a new round begins.
    """
    start = images_seen
    if round_images_seen is not None and _is_step_inside_round(
        growth, network, images_seen, round_images_seen
    ):
        start = round_images_seen
    while start < growth.total_kimg * 1000:
        stage = stage_at(growth, network, start)
        yield start, stage
        start += images_per_round(growth, stage)


def images_per_round(growth: Growth, stage: Stage) -> int:
    """Return the number of images shown in a round."""
    return _count_d_steps_per_round(growth) * stage.batch


def _count_d_steps_per_round(growth: Growth) -> int:
    return growth.minibatch_repeats * growth.d_repeats


def _is_step_inside_round(growth: Growth, network: Network, images_seen: int, start: int) -> bool:
    """True if a step other than the first of the round at `start` begins at `images_seen`."""
    stage = stage_at(growth, network, start)
    return images_seen in range(
        start + stage.batch, start + images_per_round(growth, stage), stage.batch
    )


def _compute_rate_factor(growth: Growth, kimg: float) -> float:
    """Return what the learning rates are multiplied by, in [0, 1]: decay and cooldown."""
    factor = 1 / (1 + growth.lr_decay * kimg)
    if growth.cooldown:
        left = max(growth.total_kimg - kimg, 0.0) / growth.total_kimg
        factor *= min(left / growth.cooldown, 1.0)
    return factor


def _make_stage(growth: Growth, network: Network, lod: float, rate_factor: float) -> Stage:
    """Return the stage at a level of detail (0: the last one)."""
    level = network.max_level - math.floor(lod)
    fraction = lod - math.floor(lod)
    resolution = 1 << level
    return Stage(
        level=level,
        alpha=1.0 - fraction,
        lod=lod,
        phase=2 * (level - MIN_LEVEL) - (1 if fraction else 0),
        batch=lookup_exact_resolution(growth.batch_at, resolution, growth.batch),
        g_lr=lookup_exact_resolution(growth.g_lr_at, resolution, growth.g_lr) * rate_factor,
        d_lr=lookup_exact_resolution(growth.d_lr_at, resolution, growth.d_lr) * rate_factor,
        tick_kimg=lookup_exact_resolution(growth.tick_kimg_at, resolution, growth.tick_kimg),
    )


def lookup_exact_resolution(table: tuple[tuple[int, N], ...], resolution: int, default: N) -> N:
    """Return the table's value for exactly this resolution, else the default."""
    return dict(table).get(resolution, default)
