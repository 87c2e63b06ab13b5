"""Preflight: memory and speed of each level, measured with dummy iterations or estimated."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from progan import presets, schedule
from progan.batch_split import UNSHARDED, Shard, select_shard_rows
from progan.config import Run, override
from progan.data.loader import Batch
from progan.errors import UserError
from progan.losses.adversarial import get_penalty_interval
from progan.networks.inspection import multiply_adds
from progan.runtime import devices
from progan.runtime.files import format_bytes
from progan.runtime.text import format_count, format_duration, format_rate, format_table
from progan.schedule import Stage
from progan.sizes import MIN_LEVEL
from progan.training.checkpoint import copy_to_cpu
from progan.training.gradients import (
    BatchSplit,
    MicroBatchSizes,
    allowed_sizes,
    explain_smallest_size,
)
from progan.training.guard import restore
from progan.training.memory import estimate_step_bytes
from progan.training.progress import remaining_seconds, seconds_per_image
from progan.training.state import TrainState, create_state
from progan.training.step import Steps, make_steps
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs


def run_dummy_iteration(
    state: TrainState, run: Run, stage: Stage, batch: Batch, steps: Steps, *, penalty: bool = True
) -> None:
    """Run one iteration on a single batch, with or without the penalty; no image counts as seen."""
    for _ in range(run.growth.d_repeats):
        run_dummy_discriminator_step(state, run, stage, batch, steps, penalty=penalty)
    run_dummy_generator_step(state, run, stage, batch, steps)


def run_dummy_discriminator_step(
    state: TrainState, run: Run, stage: Stage, batch: Batch, steps: Steps, *, penalty: bool
) -> None:
    """Run a step of the discriminator, with or without the penalty; no image counts as seen."""
    position = LevelAlpha.of(stage, batch.images.device)
    inputs = discriminator_inputs(run, batch, position, state.images_seen)
    inputs = inputs._replace(with_penalty=penalty)
    steps.discriminator(state, run, position, stage.d_lr, inputs)


def run_dummy_generator_step(
    state: TrainState, run: Run, stage: Stage, batch: Batch, steps: Steps
) -> None:
    """Run a step of the generator."""
    position = LevelAlpha.of(stage, batch.images.device)
    inputs = generator_inputs(run, batch, position, state.images_seen)
    steps.generator(state, run, position, stage.g_lr, inputs)


def noise_batch(run: Run, stage: Stage, shard: Shard) -> Batch:
    """Return a batch of noise, as the loader would."""
    n, size = stage.batch // shard.num_shards, run.network.size(stage.level)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (n, *size, run.network.channels), generator=random, dtype=torch.uint8
    )
    labels = torch.zeros(n, run.network.label_size)
    labels[:, :1] = 1
    rows = (
        torch.from_numpy(select_shard_rows(run, stage.batch, shard))
        if shard.num_shards > 1
        else None
    )
    return Batch(images, labels, labels, rows, shard)


HEADINGS = ("resolution", "batch", "micro-batch", "memory", "img/s", "time")
# An estimate extrapolates from real steps at levels up to this cost: about a second on a CPU.
AFFORDABLE_GMAC = 4.0


@dataclass(frozen=True, slots=True)
class LevelCost:
    """The cost of training at a level."""

    level: int
    batch: int
    micro_batch: int
    memory_bytes: int
    seconds_per_image: float
    images: int  # remaining images of this level


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """Measures or estimates the cost of all levels to come; the state stays bit for bit the same.

    Attributes:
        micro_batches: Limits of batches that do not fit are set here.
        steps: Uncompiled steps.
        shard: The part of each batch that this process trains on.
        local_processes: Number of processes that share the memory of this machine.
    """

    run: Run
    state: TrainState
    device: torch.device
    micro_batches: MicroBatchSizes
    steps: Steps
    shard: Shard = UNSHARDED
    local_processes: int = 1

    def __call__(self, how: str) -> list[LevelCost]:
        """Return the costs of all levels to come; raises UserError if one does not fit.

        Args:
            how: 'step': real steps at each; 'estimate'.
        """
        stages = demanding_stages(self.run, self.state.images_seen)
        if not stages:  # only metrics are missing
            return []
        with preserve_state(self.state, self.run):
            costs = self._measure(stages) if how == "step" else self._estimate(stages)
        devices.reset_peak_memory(self.device)
        return costs

    def _measure(self, stages: dict[int, Stage]) -> list[LevelCost]:
        costs = []
        for stage in stages.values():
            devices.reset_peak_memory(self.device)
            seconds = self.measure_seconds_per_image(stage)
            costs.append(self._cost(stage, devices.peak_memory_bytes(self.device), seconds))
        return costs

    def _estimate(self, stages: dict[int, Stage]) -> list[LevelCost]:
        memory = {stage.level: self._fit_into_memory(stage) for stage in stages.values()}
        tried = affordable_stages(self.run, stages) or [next(iter(stages.values()))]
        measured = {stage.level: self.measure_seconds_per_image(stage) for stage in tried}
        return [
            self._cost(
                stage,
                memory[stage.level],
                seconds_per_image(self.run.network, stage.level, measured),
            )
            for stage in stages.values()
        ]

    def measure_seconds_per_image(self, stage: Stage, tries: int | None = None) -> float:
        """Measure the seconds per image of a stage, each step by the fastest of several tries.

        Of the `d_repeats` steps of the discriminator for each of the generator, one is tried.
        First steps take longer: short ones are repeated, and on CUDA, which chooses algorithms in
        the first one, all. All processes try equally often, since each try needs all of them.
        """
        cheap = affordable_stages(self.run, {stage.level: stage})
        tries = tries or (5 if cheap else 2 if self.device.type == "cuda" else 1)
        batch = noise_batch(self.run, stage, self.shard).to(self.device)
        arguments = (self.state, self.run, stage, batch, self.steps)
        interval = get_penalty_interval(self.run.loss)
        variants = {True: 1 / interval, False: 1 - 1 / interval}  # with penalty: share of the steps
        weighted: list[tuple[float, Callable[[], None]]] = [
            (share, partial(run_dummy_discriminator_step, *arguments, penalty=penalty))
            for penalty, share in variants.items()
            if share
        ]
        weighted.append(
            (1 / self.run.growth.d_repeats, partial(run_dummy_generator_step, *arguments))
        )
        # In turns, as in a training: one step needs memory for the moments of the other one, too.
        seconds = [[self._measure_seconds(step) for _, step in weighted] for _ in range(tries)]
        fastest: list[float] = [min(each) for each in zip(*seconds, strict=True)]
        total = sum(weight * each for (weight, _), each in zip(weighted, fastest, strict=True))
        return total / stage.batch

    def _measure_seconds(self, step: Callable[[], None]) -> float:
        devices.synchronize(self.device)
        start = time.perf_counter()
        step()
        devices.synchronize(self.device)
        return time.perf_counter() - start

    def _fit_into_memory(self, stage: Stage) -> int:
        """Estimate the bytes of a step, with micro-batches limited to a size that fits."""
        n, free = stage.batch // self.shard.num_shards, self._free_bytes()
        size = self.micro_batches.size(stage.level, n)
        for smaller in (size, *(each for each in allowed_sizes(self.run, n) if each < size)):
            needed = estimate_step_bytes(self.run, stage, self.shard.num_shards, smaller)
            if free is None or needed <= free:
                if smaller < size:
                    self.micro_batches.limit(stage.level, smaller)
                return needed
        raise UserError(
            f"Resolution {stage.resolution} does not fit into memory: "
            f"{format_count(smaller, 'image')} of the batch at once "
            f"{'needs' if smaller == 1 else 'need'} about {format_bytes(needed)}, and there are "
            f"{format_bytes(free or 0)}. "
            f"{explain_smallest_size(self.run, n)} --preflight none trains nevertheless."
        )

    def _free_bytes(self) -> int | None:
        """Return the memory available to this process, including that of its state."""
        free = devices.free_memory_bytes(self.device)
        modules = self.state.networks | self.state.optimizers
        held = sum(
            x.nbytes
            for x in tree_leaves([module.state_dict() for module in modules.values()])
            if isinstance(x, Tensor)
        )
        return None if free is None else free // self.local_processes + held

    def _cost(self, stage: Stage, memory_bytes: int, seconds: float) -> LevelCost:
        return LevelCost(
            stage.level,
            stage.batch,
            self.micro_batches.size(stage.level, stage.batch // self.shard.num_shards),
            memory_bytes,
            seconds,
            remaining_images(self.run, stage.level, self.state.images_seen),
        )


def demanding_stages(run: Run, images_seen: int) -> dict[int, Stage]:
    """Return the most demanding stage of each level to come: its fade-in."""
    if images_seen >= run.growth.total_kimg * 1000:
        return {}
    stages: dict[int, Stage] = {}
    for phase in schedule.iterate_phases(run.growth, run.network):
        if phase.end_kimg * 1000 > images_seen:
            stages.setdefault(phase.stage.level, phase.stage)
    # The first round may be of a level that has no phase, with --training-kimg 0.
    first = schedule.stage_at(run.growth, run.network, images_seen)
    return {first.level: first} | stages


def remaining_images(run: Run, level: int, images_seen: int) -> int:
    """Return the number of images still to be trained at a level."""
    kimg = images_seen / 1000
    remaining_kimg = sum(
        max(phase.end_kimg - max(phase.start_kimg, kimg), 0)
        for phase in schedule.iterate_phases(run.growth, run.network)
        if phase.stage.level == level
    )
    return round(1000 * remaining_kimg)


def affordable_stages(run: Run, stages: dict[int, Stage]) -> list[Stage]:
    """Select the levels at which a step takes no more than about a second on a CPU."""
    return [
        stage
        for level, stage in stages.items()
        if stage.batch <= _count_affordable_images(run, level)
    ]


@contextmanager
def preserve_state(state: TrainState, run: Run) -> Iterator[None]:
    """Restore the state after the context from a copy in main memory."""
    kept = copy_to_cpu(state, run)
    try:
        yield
    finally:
        restore(state, kept)
        for network in state.networks.values():
            network.zero_grad(set_to_none=True)


def total_seconds(costs: Iterable[LevelCost]) -> float:
    """Return the seconds of the whole remaining training."""
    return sum(each.images * each.seconds_per_image for each in costs)


def costs_table(costs: list[LevelCost], run: Run, how: str, processes: int = 1) -> str:
    """Format the costs, as found by one of `processes`, as a table."""
    rows = [
        (
            run.network.size(each.level).brief,
            str(each.batch),
            str(each.micro_batch) if each.micro_batch < each.batch // processes else "-",
            format_bytes(each.memory_bytes),
            format_rate(1 / each.seconds_per_image),
            format_duration(each.images * each.seconds_per_image),
        )
        for each in costs
    ]
    total = total_seconds(costs)
    basis = {"step": "Measured, a few iterations each", "estimate": "A rough estimate"}[how]
    return "\n".join(
        [
            format_table([HEADINGS, *rows]),
            f"Total {format_duration(total)}, without samples, snapshots and metrics. {basis}.",
        ]
    )


SHORT_SECONDS = 3600.0
LOWEST_LEVEL = 3  # the kinds that do not grow resample at least once
SMALLEST_BATCH = 2  # for batch normalisation and minibatch stddev


def cpu_note(run: Run, device: torch.device, seconds: float | None) -> str:
    """Recommend --preset cpu where a preset for GPUs would take long; else return ''.

    Args:
        seconds: Estimated duration of the run; None: unknown.
    """
    short = seconds is not None and seconds <= SHORT_SECONDS
    if short or device.type != "cpu" or not presets.needs_gpu(run.preset):
        return ""
    time = "long" if seconds is None else f"{format_duration(seconds)} (a rough estimate)"
    smaller = " --resolution 32" * (run.network.resolution > 32)
    return (
        f"Preset {run.preset} is made for GPUs; on {devices.describe_device(device)} this run "
        f"would take {time}. For a CPU: --preset cpu{smaller}."
    )


def estimate_seconds(run: Run, device: torch.device) -> float:
    """Estimate the seconds of a whole run from iterations that take a few seconds.

    They are of the run's networks up to the highest resolution, and of the largest batches, that
    are affordable; of other resolutions, the time is assumed to be proportional to the
    multiplications.
    """
    small = _shrink_to_affordable(run)
    micro_batches = MicroBatchSizes(small, lambda line: None)
    preflight = Preflight(
        run=small,
        state=create_state(small, device),
        device=device,
        micro_batches=micro_batches,
        steps=make_steps(BatchSplit(micro_batches)),
    )
    measured = {}
    for level, stage in demanding_stages(small, 0).items():
        tried = _reduce_to_affordable(small, stage)
        tries = None if tried == stage else 1  # such an iteration is long enough
        measured[level] = preflight.measure_seconds_per_image(tried, tries)
    first, highest = schedule.get_first_level(run.growth, run.network), max(measured)
    if highest < first:
        factor = multiply_adds(run.network, first) / multiply_adds(small.network, highest)
        measured = {first: measured[highest] * factor}
    return remaining_seconds(run.growth, run.network, 0, measured).run


def _shrink_to_affordable(run: Run) -> Run:
    """Reduce the final resolution of a run to the highest at which a step is affordable."""
    for level in range(run.network.max_level, MIN_LEVEL - 1, -1):
        resolution = 1 << level
        small = override(
            run,
            {
                "resolution": resolution,
                "initial_resolution": min(run.growth.initial_resolution, resolution),
                "fade_first": False, "freeze_d": 0, "micro_batch": 0,
            },
        )  # fmt: skip
        lowest = LOWEST_LEVEL if not run.network.grows else MIN_LEVEL
        if level == lowest or _count_affordable_images(small, level) >= SMALLEST_BATCH:
            break
    return small


def _reduce_to_affordable(run: Run, stage: Stage) -> Stage:
    """Reduce the batch of a stage to an affordable one."""
    affordable = max(_count_affordable_images(run, stage.level), SMALLEST_BATCH)
    return replace(stage, batch=min(stage.batch, affordable))


def _count_affordable_images(run: Run, level: int) -> int:
    return int(AFFORDABLE_GMAC * 1e9 / multiply_adds(run.network, level))
