"""Where a run is and when it will end: forecast, words for the log, a bar on a terminal."""

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
from progan.runtime.log import human_seconds
from progan.schedule import Stage
from progan.sizes import growing_name, stage_name

NOTHING: Mapping[int, float] = MappingProxyType({})

BIN_SECONDS = 5.0  # rounds are summed up to at least this: their own times are too noisy
MOST_BINS = 240
# What was measured counts half as much after so long. The short one soon notices a machine that
# slows down, the long one is less disturbed by noise.
HALF_LIVES_SECONDS = (30.0, 600.0)
SLOWEST = 3.0  # times the median: what takes longer is a stall, or compilation, and no speed
PRIOR_SECONDS = 5.0  # of measuring, that count as much as what was expected


class Bin(NamedTuple):
    """A stretch of training at one level."""

    images: int
    seconds: float


class Speed:
    """Seconds per image at one level, of its last minutes; robust to single slow rounds.

    The first round compiles, allocates and chooses algorithms: it counts only while it is alone.

    Attributes:
        seconds: That were measured after the first round.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._first: Bin | None = None
        self._bins: deque[Bin] = deque([Bin(0, 0.0)], maxlen=MOST_BINS)  # the last one is open

    def add(self, images: int, seconds: float) -> None:
        if self._first is None:
            self._first = Bin(images, seconds)
            return
        self.seconds += seconds
        if self._bins[-1].seconds >= BIN_SECONDS:
            self._bins.append(Bin(0, 0.0))
        last = self._bins[-1]
        self._bins[-1] = Bin(last.images + images, last.seconds + seconds)

    def seconds_per_image(self) -> float | None:
        """Geometric mean of the estimates with both half-lives; None before the first image."""
        if not any(images for images, _ in self._bins):
            return (
                self._first.seconds / self._first.images
                if self._first and (self._first.images)
                else None
            )
        short, long = map(self._robust_mean, HALF_LIVES_SECONDS)
        return math.sqrt(short * long)

    def _robust_mean(self, half_life: float) -> float:
        """Mean seconds per image, in which no bin counts more than SLOWEST times the median."""
        rates = sorted(self._rates(half_life))
        weights = list(accumulate(weight for _, weight in rates))
        median = rates[bisect_left(weights, weights[-1] / 2)][0]
        return sum(min(rate, SLOWEST * median) * weight for rate, weight in rates) / weights[-1]

    def _rates(self, half_life: float) -> list[tuple[float, float]]:
        """Seconds per image of each bin, and how much it counts."""
        rates, age = [], 0.0
        for images, seconds in reversed(self._bins):
            if images:
                rates.append((seconds / images, images * 0.5 ** (age / half_life)))
            age += seconds
        return rates


class EtaEstimator:
    """Learns how long an image takes at each level, and tells how long the rest will take.

    Until enough of a level was measured, what was expected of it counts as well. The time between
    ticks, for images and snapshots, is measured too.

    Args:
        expected: Seconds per image by level, as tried out or estimated before.
        snapshot_ticks: Ticks between two snapshots, the longest of these pauses.
    """

    def __init__(
        self,
        growth: Growth,
        network: Network,
        expected: Mapping[int, float] = NOTHING,
        snapshot_ticks: int = 1,
    ) -> None:
        self._growth, self._network, self._expected = growth, network, expected
        self._snapshot_ticks = snapshot_ticks
        self._speeds: dict[int, Speed] = {}
        self._left: dict[int, float] = {}  # seconds per image at levels, when they were left
        self._latest: int | None = None  # the level measured last
        self._pauses, self._pause_seconds = 0, 0.0

    def measure(self, level: int, images: int, seconds: float) -> None:
        """Some images were trained at a level."""
        if self._latest not in (None, level):
            self._left |= self._known()
        self._latest = level
        self._speeds.setdefault(level, Speed()).add(images, seconds)

    def measure_pause(self, seconds: float) -> None:
        """A tick has ended, and this was spent before the next one."""
        self._pauses += 1
        self._pause_seconds += seconds

    def remaining_seconds(self, images_seen: int) -> tuple[float, float]:
        """Seconds to the end of the present phase and of the run; 0 if nothing is known."""
        known = self._known()
        if not known:
            return 0.0, 0.0
        return remaining_seconds(
            self._growth,
            self._network,
            images_seen,
            known,
            self._expected,
            self._seconds_per_pause(),
        )

    def _known(self) -> dict[int, float]:
        """Seconds per image by level: measured, or expected where nothing was."""
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
        """What the other levels that were measured, or else what was expected, say of one."""
        others = {other: value for other, value in self._left.items() if other != level}
        if others:
            return seconds_per_image(self._network, level, others, self._expected)
        return self._expected.get(level)

    def _seconds_per_pause(self) -> float:
        """Mean over as many ticks as have a snapshot among them, at least: the first pauses may
        be unlike all others."""
        return self._pause_seconds / max(self._pauses, self._snapshot_ticks)


def remaining_seconds(
    growth: Growth,
    network: Network,
    images_seen: int,
    measured: Mapping[int, float],
    expected: Mapping[int, float] = NOTHING,
    seconds_per_pause: float = 0.0,
) -> tuple[float, float]:
    """Return the seconds to the end of the present phase, and to the end of the run.

    Args:
        measured: Seconds per image by level; at least one level.
        expected: The same, as tried out or estimated before; perhaps of other levels.
        seconds_per_pause: Spent after each tick.
    """
    kimg = images_seen / 1000
    left = [
        (phase.end_kimg - max(phase.start_kimg, kimg), phase.stage)
        for phase in schedule.phases(growth, network)
        if phase.end_kimg > kimg
    ]
    seconds = [
        1000 * kimg_left * seconds_per_image(network, stage.level, measured, expected)
        + kimg_left / _tick_kimg(growth, stage) * seconds_per_pause
        for kimg_left, stage in left
    ]
    return (seconds[0] if seconds else 0.0), sum(seconds)


def _tick_kimg(growth: Growth, stage: Stage) -> float:
    """Ticks end with a round."""
    return max(stage.tick_kimg, schedule.round_images(growth, stage) / 1000)


def seconds_per_image(
    network: Network,
    level: int,
    measured: Mapping[int, float],
    expected: Mapping[int, float] = NOTHING,
) -> float:
    """As measured; a level that was not reached yet costs as much more than the nearest measured
    one as was expected, or else as it multiplies more."""
    nearest = min(measured, key=lambda other: abs(other - level))
    if {level, nearest} <= set(expected):
        return measured[nearest] * expected[level] / expected[nearest]
    return measured[nearest] * multiply_adds(network, level) / multiply_adds(network, nearest)


LAYOUT = "{{desc}} {{percentage:3.0f}}%|{{bar}}| {{n:.{digits}f}}/{{total:g}} kimg, {{unit}}"


class Progress:
    """Times the rounds, for the forecast and for the bar."""

    def __init__(
        self, run: Run, images_seen: int, expected: Mapping[int, float], *, shown: bool = True
    ) -> None:
        self.forecast = EtaEstimator(run.growth, run.network, expected, run.output.snapshot_ticks)
        self._network = run.network
        self._images_seen = images_seen
        self._start = time.perf_counter()
        self._bar = tqdm(
            total=run.growth.total_kimg,
            initial=images_seen / 1000,
            leave=False,
            bar_format=LAYOUT.format(digits=_digits(run.growth.total_kimg)),
            disable=not (shown and sys.stderr.isatty()),
            dynamic_ncols=True,
        )

    def update(self, stage: Stage, images_seen: int) -> None:
        """A round has ended."""
        now = time.perf_counter()
        self.forecast.measure(stage.level, images_seen - self._images_seen, now - self._start)
        self._images_seen, self._start = images_seen, now
        if not self._bar.disable:
            phase, total = self.forecast.remaining_seconds(images_seen)
            self._bar.n = min(images_seen / 1000, self._bar.total)
            self._bar.unit = f"phase {human_seconds(phase)}, all {human_seconds(total)} left"
            self._bar.set_description_str(stage_words(stage, self._network))

    def restart(self, images_seen: int) -> None:
        """What was done since the last update was no training; it goes on from `images_seen`."""
        now = time.perf_counter()
        self.forecast.measure_pause(now - self._start)
        self._images_seen, self._start = images_seen, now

    def close(self) -> None:
        self._bar.close()


def kimg_words(kimg: float, total: float) -> str:
    """What was trained, with enough digits to tell by how much a short run passes its total.

    A run ends with a whole round of steps, and so may train a little more than its total.
    """
    return f"{kimg:.{_digits(total)}f}"


def _digits(total: float) -> int:
    return 3 if total < 10 else 1


def stage_words(stage: Stage, network: Network) -> str:
    """'128→256 fade 43%' or '192x128 stable'."""
    return stage_name(network.base, stage.level, stage.alpha)


def size_words(stage: Stage, network: Network) -> str:
    """'256', or while it fades in '128→256'; of images that are no squares '192x128'."""
    return growing_name(network.base, stage.level, stage.alpha)
