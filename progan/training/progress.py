"""Progress of a run: ETA, labels for the log, a bar on a terminal."""

import math
import sys
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from tqdm import tqdm

from progan import schedule
from progan.config import Growth, Network, Run
from progan.networks.inspection import multiply_adds
from progan.runtime.text import format_duration
from progan.schedule import Stage
from progan.sizes import format_growing_size, format_stage

EMPTY: Mapping[int, float] = MappingProxyType({})

BIN_SECONDS = 5.0  # rounds are summed to bins of at least this, to reduce noise
MOST_BINS = 240
# Weights of measurements decay with these half-lives: the short one follows a machine that slows
# down, the long one averages noise.
HALF_LIVES_SECONDS = (30.0, 600.0)
SLOWEST = 3.0  # times the median: bins that take longer are stalls or compilation
PRIOR_SECONDS = 5.0  # the expected speed counts as much as this long a measurement


class TimeBin(NamedTuple):
    """Images and their training time at one level."""

    images: int
    seconds: float


class LevelSpeed:
    """Estimates the seconds per image at one level, robust to single slow rounds.

    The first round compiles, allocates and chooses algorithms: it is used only until the second.

    Attributes:
        seconds: Measured time after the first round.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._first: TimeBin | None = None
        self._bins: deque[TimeBin] = deque(
            [TimeBin(0, 0.0)], maxlen=MOST_BINS
        )  # the last one is open

    def add(self, images: int, seconds: float) -> None:
        if self._first is None:
            self._first = TimeBin(images, seconds)
            return
        self.seconds += seconds
        if self._bins[-1].seconds >= BIN_SECONDS:
            self._bins.append(TimeBin(0, 0.0))
        last = self._bins[-1]
        self._bins[-1] = TimeBin(last.images + images, last.seconds + seconds)

    def seconds_per_image(self) -> float | None:
        """Geometric mean of the estimates with both half-lives; None before the first image."""
        if not any(images for images, _ in self._bins):
            first = self._first
            return first.seconds / first.images if first and first.images else None
        short, long = map(self._robust_mean, HALF_LIVES_SECONDS)
        return math.sqrt(short * long)

    def _robust_mean(self, half_life: float) -> float:
        """Return the mean seconds per image, with bins clipped to SLOWEST times the median."""
        rates = sorted(self._rates(half_life))
        weights = list(accumulate(weight for _, weight in rates))
        median = rates[bisect_left(weights, weights[-1] / 2)][0]
        return sum(min(rate, SLOWEST * median) * weight for rate, weight in rates) / weights[-1]

    def _rates(self, half_life: float) -> list[tuple[float, float]]:
        """Return the seconds per image and the weight of each bin."""
        rates, age = [], 0.0
        for images, seconds in reversed(self._bins):
            if images:
                rates.append((seconds / images, images * 0.5 ** (age / half_life)))
            age += seconds
        return rates


class RemainingSeconds(NamedTuple):
    """Estimated time to the end of the present phase, and of the run."""

    phase: float
    run: float


class EtaEstimator:
    """Estimates the remaining time from the measured seconds per image at each level.

    Until enough of a level was measured, its expected speed is averaged in. The time between
    ticks, for samples and snapshots, is measured too.

    Args:
        expected: Seconds per image by level, from the preflight.
        snapshot_ticks: Ticks between two snapshots, the longest of these pauses.
    """

    def __init__(
        self,
        growth: Growth,
        network: Network,
        expected: Mapping[int, float] = EMPTY,
        snapshot_ticks: int = 1,
    ) -> None:
        self._growth, self._network, self._expected = growth, network, expected
        self._snapshot_ticks = snapshot_ticks
        self._speeds: dict[int, LevelSpeed] = {}
        self._final: dict[int, float] = {}  # seconds per image at finished levels
        self._latest: int | None = None  # the level measured last
        self._pauses, self._pause_seconds = 0, 0.0

    def measure(self, level: int, images: int, seconds: float) -> None:
        """Add the training time of some images at a level."""
        if self._latest not in (None, level):
            self._final |= self._known_speeds()
        self._latest = level
        self._speeds.setdefault(level, LevelSpeed()).add(images, seconds)

    def measure_pause(self, seconds: float) -> None:
        """Add the time between two ticks."""
        self._pauses += 1
        self._pause_seconds += seconds

    def remaining_seconds(self, images_seen: int) -> RemainingSeconds:
        """Return the seconds to the end of the present phase and of the run; 0 if unknown."""
        if not (known := self._known_speeds()):
            return RemainingSeconds(0.0, 0.0)
        return remaining_seconds(
            self._growth, self._network, images_seen, known, self._expected,
            self._seconds_per_pause(),
        )  # fmt: skip

    def _known_speeds(self) -> dict[int, float]:
        """Return seconds per image by level: measured, or expected where nothing was measured."""
        level = self._latest
        if level is None:
            return dict(self._expected)
        speed, prior = self._speeds[level], self._prior(level)
        measured = speed.seconds_per_image()
        if not (measured and prior):
            return {level: known} if (known := measured or prior) else {}
        weight = speed.seconds / (speed.seconds + PRIOR_SECONDS)
        return {level: measured**weight * prior ** (1 - weight)}

    def _prior(self, level: int) -> float | None:
        """Predict the seconds per image of a level from other levels, or else as expected."""
        others = {other: value for other, value in self._final.items() if other != level}
        if others:
            return seconds_per_image(self._network, level, others, self._expected)
        return self._expected.get(level)

    def _seconds_per_pause(self) -> float:
        """Return the mean pause over at least `snapshot_ticks`, which include a snapshot."""
        return self._pause_seconds / max(self._pauses, self._snapshot_ticks)


def remaining_seconds(
    growth: Growth,
    network: Network,
    images_seen: int,
    measured: Mapping[int, float],
    expected: Mapping[int, float] = EMPTY,
    seconds_per_pause: float = 0.0,
) -> RemainingSeconds:
    """Estimate the seconds to the end of the present phase, and to the end of the run.

    Args:
        measured: Seconds per image by level; at least one level.
        expected: The same, from the preflight; perhaps of other levels.
        seconds_per_pause: Time between two ticks.
    """
    kimg = images_seen / 1000
    left = [
        (phase.end_kimg - max(phase.start_kimg, kimg), phase.stage)
        for phase in schedule.iterate_phases(growth, network)
        if phase.end_kimg > kimg
    ]
    seconds = [
        1000 * kimg_left * seconds_per_image(network, stage.level, measured, expected)
        + kimg_left / _compute_tick_kimg(growth, stage) * seconds_per_pause
        for kimg_left, stage in left
    ]
    return RemainingSeconds(seconds[0] if seconds else 0.0, sum(seconds))


def _compute_tick_kimg(growth: Growth, stage: Stage) -> float:
    """Return the length of a tick; it ends with a round."""
    return max(stage.tick_kimg, schedule.images_per_round(growth, stage) / 1000)


def seconds_per_image(
    network: Network,
    level: int,
    measured: Mapping[int, float],
    expected: Mapping[int, float] = EMPTY,
) -> float:
    """Estimate the seconds per image of a level from the nearest measured one.

    They are scaled by the ratio of the expected times, or else of the multiplications.
    """
    nearest = min(measured, key=lambda other: abs(other - level))
    if {level, nearest} <= set(expected):
        return measured[nearest] * expected[level] / expected[nearest]
    return measured[nearest] * multiply_adds(network, level) / multiply_adds(network, nearest)


LAYOUT = "{{desc}} {{percentage:3.0f}}%|{{bar}}| {{n:.{digits}f}}/{{total:g}} kimg, {{unit}}"


class Progress:
    """Measures the speed, and shows a progress bar."""

    def __init__(
        self, run: Run, images_seen: int, expected: Mapping[int, float], *, shown: bool = True
    ) -> None:
        self.eta = EtaEstimator(run.growth, run.network, expected, run.output.snapshot_ticks)
        self._network = run.network
        self._images_seen = images_seen
        self._start = time.perf_counter()
        self._bar = tqdm(
            total=run.growth.total_kimg,
            initial=images_seen / 1000,
            leave=False,
            bar_format=LAYOUT.format(digits=_choose_kimg_decimals(run.growth.total_kimg)),
            disable=not (shown and sys.stderr.isatty()),
            dynamic_ncols=True,
        )

    def update(self, stage: Stage, images_seen: int) -> None:
        """Add a finished round."""
        now = time.perf_counter()
        self.eta.measure(stage.level, images_seen - self._images_seen, now - self._start)
        self._images_seen, self._start = images_seen, now
        if not self._bar.disable:
            phase, total = self.eta.remaining_seconds(images_seen)
            self._bar.n = min(images_seen / 1000, self._bar.total)
            self._bar.unit = f"phase {format_duration(phase)}, all {format_duration(total)} left"
            self._bar.set_description_str(describe_stage(stage, self._network))

    def restart(self, images_seen: int) -> None:
        """Count the time since the last update as a pause; continue from `images_seen`."""
        now = time.perf_counter()
        self.eta.measure_pause(now - self._start)
        self._images_seen, self._start = images_seen, now

    def close(self) -> None:
        self._bar.close()


def format_kimg(kimg: float, total: float) -> str:
    """Format the kimg trained; a short run gets more digits.

    A run ends with a whole round of steps, and so may exceed its total a little.
    """
    return f"{kimg:.{_choose_kimg_decimals(total)}f}"


def _choose_kimg_decimals(total: float) -> int:
    return 3 if total < 10 else 1


def describe_stage(stage: Stage, network: Network) -> str:
    """Return '128→256 fade 43%' or '192x128 stable'."""
    return format_stage(network.base, stage.level, stage.alpha)


def format_resolution(stage: Stage, network: Network) -> str:
    """Return '256', or '128→256' during a fade; '192x128' for images that are not square."""
    return format_growing_size(network.base, stage.level, stage.alpha)
