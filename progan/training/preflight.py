"""Before the first image: does each level fit into memory, and how long will it all take?

A dummy iteration on noise tells, or an estimate; on a CPU the time of a whole run is estimated from
one short iteration.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from progan import schedule
from progan.batch_split import UNSHARDED, Shard, shard_rows
from progan.config import Run, override
from progan.data.loader import Batch
from progan.errors import UserError
from progan.networks.inspection import multiply_adds
from progan.runtime import devices
from progan.runtime.files import human_bytes
from progan.runtime.log import human_rate, human_seconds
from progan.runtime.text import format_count
from progan.sampling.state_file import NETWORKS
from progan.schedule import Stage
from progan.sizes import MIN_LEVEL
from progan.training import state as states
from progan.training.checkpoint import MODULES, copy_to_cpu
from progan.training.gradients import BatchSplit, MicroBatchSizes, allowed_sizes, no_smaller
from progan.training.guard import restore
from progan.training.memory import step_bytes
from progan.training.plan import table
from progan.training.progress import remaining_seconds, seconds_per_image
from progan.training.state import TrainState
from progan.training.step import (
    LevelAlpha,
    PlainSteps,
    Steps,
    discriminator_inputs,
    generator_inputs,
)


def run_dummy_iteration(
    state: TrainState, run: Run, stage: Stage, batch: Batch, steps: Steps
) -> None:
    """Train for one iteration, all of it on the same batch; no image counts as seen."""
    position = LevelAlpha.of(stage, batch.images.device)
    for _ in range(run.growth.d_repeats):
        steps.discriminator(
            state,
            run,
            position,
            stage.d_lr,
            discriminator_inputs(run, batch, position, state.images_seen),
        )
    steps.generator(
        state, run, position, stage.g_lr, generator_inputs(run, batch, position, state.images_seen)
    )


def noise_batch(run: Run, stage: Stage, share: Shard) -> Batch:
    """A batch as the loader makes them, of noise."""
    n, size = stage.batch // share.num_shards, run.network.size(stage.level)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(
        256, (n, *size, run.network.channels), generator=random, dtype=torch.uint8
    )
    labels = torch.zeros(n, run.network.label_size)
    labels[:, :1] = 1
    rows = torch.from_numpy(shard_rows(run, stage.batch, share)) if share.num_shards > 1 else None
    return Batch(images, labels, labels, rows, share)


HEADINGS = ("resolution", "batch", "micro-batch", "memory", "img/s", "time")
# An estimate extrapolates from real steps at the levels that cost no more than this: about a
# second on a CPU.
AFFORDABLE_GMAC = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What training at a level takes."""

    level: int
    batch: int
    micro_batch: int
    memory_bytes: int
    seconds_per_image: float
    images: int  # that are still to be shown at this level


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """Tries out, or estimates, what is to come; leaves the state as it is, bit for bit.

    Attributes:
        micro_batches: Learns what does not fit.
        steps: As training will take them, but for compilation, for which nobody waits twice.
        share: The part of each batch that this process trains on.
        neighbours: How many processes use the memory of this machine.
    """

    run: Run
    state: TrainState
    device: torch.device
    micro_batches: MicroBatchSizes
    steps: Steps
    share: Shard = UNSHARDED
    neighbours: int = 1

    def __call__(self, how: str) -> list[Finding]:
        """Look at every level to come; raises UserError if one of them cannot be trained.

        Args:
            how: 'step': one real step each; 'estimate'.
        """
        stages = demanding_stages(self.run, self.state.images_seen)
        with untouched(self.state, self.run):
            found = self._by_steps(stages) if how == "step" else self._by_estimate(stages)
        devices.reset_peak_memory(self.device)
        return found

    def _by_steps(self, stages: dict[int, Stage]) -> list[Finding]:
        found = []
        for stage in stages.values():
            devices.reset_peak_memory(self.device)
            seconds = self.measure_seconds_per_image(stage)
            found.append(self._finding(stage, devices.peak_memory_bytes(self.device), seconds))
        return found

    def _by_estimate(self, stages: dict[int, Stage]) -> list[Finding]:
        memory = {stage.level: self._fitted(stage) for stage in stages.values()}
        tried = affordable(self.run, stages) or [next(iter(stages.values()))]
        measured = {stage.level: self.measure_seconds_per_image(stage) for stage in tried}
        return [
            self._finding(
                stage,
                memory[stage.level],
                seconds_per_image(self.run.network, stage.level, measured),
            )
            for stage in stages.values()
        ]

    def measure_seconds_per_image(self, stage: Stage, tries: int | None = None) -> float:
        """Of the whole batch; the first step of a kind takes longer, so that short ones are
        repeated, and those of CUDA, which chooses algorithms meanwhile, always.

        All processes try equally often, since each try takes messages.
        """
        cheap, on_gpu = affordable(self.run, {stage.level: stage}), self.device.type == "cuda"
        tries = tries or (5 if cheap else 2 if on_gpu else 1)
        fastest = min(self._iteration_seconds(stage) for _ in range(tries))
        return fastest / (stage.batch * self.run.growth.d_repeats)

    def _iteration_seconds(self, stage: Stage) -> float:
        batch = noise_batch(self.run, stage, self.share).to(self.device)
        devices.synchronize(self.device)
        start = time.perf_counter()
        run_dummy_iteration(self.state, self.run, stage, batch, self.steps)
        devices.synchronize(self.device)
        return time.perf_counter() - start

    def _fitted(self, stage: Stage) -> int:
        """Estimated bytes of a step, in micro-batches that fit."""
        n, free = stage.batch // self.share.num_shards, self._free_bytes()
        size = self.micro_batches.size(stage.level, n)
        for smaller in (size, *(each for each in allowed_sizes(self.run, n) if each < size)):
            needed = step_bytes(self.run, stage, self.share.num_shards, smaller)
            if free is None or needed <= free:
                if smaller < size:
                    self.micro_batches.limit(stage.level, smaller)
                return needed
        raise UserError(
            f"Resolution {stage.resolution} does not fit into memory: "
            f"{format_count(smaller, 'image')} at once {'needs' if smaller == 1 else 'need'} about "
            f"{human_bytes(needed)}, and there are {human_bytes(free or 0)}. "
            f"{no_smaller(self.run, n)} --preflight none trains nevertheless."
        )

    def _free_bytes(self) -> int | None:
        """What this process may use, with what its state holds already."""
        free = devices.free_memory_bytes(self.device)
        held = sum(
            x.nbytes
            for x in tree_leaves([getattr(self.state, name).state_dict() for name in MODULES])
            if isinstance(x, Tensor)
        )
        return None if free is None else free // self.neighbours + held

    def _finding(self, stage: Stage, memory_bytes: int, seconds: float) -> Finding:
        return Finding(
            stage.level,
            stage.batch,
            self.micro_batches.size(stage.level, stage.batch // self.share.num_shards),
            memory_bytes,
            seconds,
            images_to_come(self.run, stage.level, self.state.images_seen),
        )


def demanding_stages(run: Run, images_seen: int) -> dict[int, Stage]:
    """For each level to come the stage that needs most: that in which it is faded in."""
    stages: dict[int, Stage] = {}
    for phase in schedule.phases(run.growth, run.network):
        if phase.end_kimg * 1000 > images_seen:
            stages.setdefault(phase.stage.level, phase.stage)
    return stages


def images_to_come(run: Run, level: int, images_seen: int) -> int:
    """How many images are still to be shown at a level."""
    kimg = images_seen / 1000
    return round(
        1000
        * sum(
            max(phase.end_kimg - max(phase.start_kimg, kimg), 0)
            for phase in schedule.phases(run.growth, run.network)
            if phase.stage.level == level
        )
    )


def affordable(run: Run, stages: dict[int, Stage]) -> list[Stage]:
    """The levels at which a step takes no more than about a second on a CPU."""
    return [
        stage
        for level, stage in stages.items()
        if AFFORDABLE_GMAC * 1e9
        >= stage.batch * run.growth.d_repeats * multiply_adds(run.network, level)
    ]


@contextmanager
def untouched(state: TrainState, run: Run) -> Iterator[None]:
    """Afterwards the state is what it was; its copy is kept in main memory meanwhile."""
    kept = copy_to_cpu(state, run)
    try:
        yield
    finally:
        restore(state, kept)
        for name in NETWORKS:
            getattr(state, name).zero_grad(set_to_none=True)


def total_seconds(findings: Iterable[Finding]) -> float:
    """Seconds of all that is still to be trained."""
    return sum(each.images * each.seconds_per_image for each in findings)


def report(findings: list[Finding], run: Run, how: str, count: int = 1) -> str:
    """The findings of one of `count` processes as a table."""
    rows = [
        (
            run.network.size(each.level).brief,
            str(each.batch),
            str(each.micro_batch) if each.micro_batch < each.batch // count else "-",
            human_bytes(each.memory_bytes),
            human_rate(1 / each.seconds_per_image),
            human_seconds(each.images * each.seconds_per_image),
        )
        for each in findings
    ]
    total = total_seconds(findings)
    basis = {"step": "Measured, one step each", "estimate": "A rough estimate"}[how]
    return "\n".join(
        [
            table([HEADINGS, *rows]),
            f"In all {human_seconds(total)}, beside samples, snapshots and metrics. {basis}.",
        ]
    )


FOR_CPUS = ("cpu", "demo")  # presets
SHORT_SECONDS = 3600.0
LOWEST_LEVEL = 3  # the kinds that do not grow resample at least once
SMALLEST_BATCH = 2  # batch normalisation and minibatch stddev need several images


def is_for_gpus(run: Run, device: torch.device) -> bool:
    """Whether a run that was made for GPUs has none."""
    return device.type == "cpu" and run.preset not in FOR_CPUS


def cpu_note(run: Run, device: torch.device, seconds: float | None) -> str:
    """Recommend --preset cpu where a preset for GPUs would take long; '' elsewhere.

    Args:
        seconds: That the run takes, as estimated; None: not known.
    """
    short = seconds is not None and seconds <= SHORT_SECONDS
    if short or not is_for_gpus(run, device):
        return ""
    time = "long" if seconds is None else f"{human_seconds(seconds)} (a rough estimate)"
    smaller = " --resolution 32" * (run.network.resolution > 32)
    return (
        f"Preset {run.preset} is made for GPUs; on {devices.describe_device(device)} this run "
        f"would take {time}. For a CPU: --preset cpu{smaller}."
    )


def estimate_seconds(run: Run, device: torch.device) -> float:
    """Estimate the seconds of a whole run, from an iteration that takes a few seconds at most.

    It is one of the run's networks cut to a low resolution, with a batch of a few images: time is
    taken to grow with the multiplications.
    """
    small = _affordable(run)
    stage = schedule.at(small.growth, small.network, 0)
    micro_batches = MicroBatchSizes(small, lambda line: None)
    preflight = Preflight(
        run=small,
        state=states.create(small, device),
        device=device,
        micro_batches=micro_batches,
        steps=PlainSteps(BatchSplit(micro_batches)),
    )
    seconds = preflight.measure_seconds_per_image(stage, tries=1)
    first = schedule.first_level(run.growth, run.network)
    seconds *= multiply_adds(run.network, first) / multiply_adds(small.network, stage.level)
    return remaining_seconds(run.growth, run.network, 0, {first: seconds})[1]


def _affordable(run: Run) -> Run:
    """The run at one resolution, at most its first one, at which an iteration is affordable."""
    first = schedule.first_level(run.growth, run.network)
    for level in range(first, MIN_LEVEL - 1, -1):
        resolution = 1 << level
        small = override(
            run,
            {
                "resolution": resolution,
                "initial_resolution": resolution,
                "fade_first": False,
                "freeze_d": 0,
                "batch_at": (),
                "micro_batch": 0,
                "d_repeats": 1,
            },
        )
        affordable = int(AFFORDABLE_GMAC * 1e9 / multiply_adds(small.network, level))
        if affordable >= SMALLEST_BATCH or level == LOWEST_LEVEL and not run.network.grows:
            break
    batch = schedule.at(run.growth, run.network, 0).batch
    return override(small, {"batch": min(batch, max(affordable, SMALLEST_BATCH))})
