"""Sums of the statistics since the last tick, and speed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class StatSums:
    """Sums of the statistics since the last tick; checkpoints between two ticks contain them."""

    sums: dict[str, Tensor] = field(default_factory=dict)  # 0-d, on the device
    counts: dict[str, int] = field(default_factory=dict)


class StepStats:
    """Sums 0-d statistics on their device, and reads them only once per tick."""

    def __init__(self, stats: StatSums | None = None) -> None:
        self._stats = StatSums() if stats is None else stats
        self._images = 0
        self._start = time.perf_counter()

    def add(self, statistics: Mapping[str, Tensor], images: int = 0) -> None:
        """Add the statistics of a step, and the number of its images."""
        sums, counts = self._stats.sums, self._stats.counts
        known = [name for name in statistics if name in sums]
        sums |= {name: value for name, value in statistics.items() if name not in sums}
        if known:
            totals = torch._foreach_add(
                [sums[name] for name in known], [statistics[name] for name in known]
            )
            sums |= zip(known, totals, strict=True)
        for name in statistics:
            counts[name] = counts.get(name, 0) + 1
        self._images += images

    @property
    def seconds(self) -> float:
        """Seconds since the last `restart`."""
        return time.perf_counter() - self._start

    def means(self) -> dict[str, float]:
        """Return the mean of each statistic over its steps; waits for the device."""
        sums, counts = self._stats.sums, self._stats.counts
        names = sorted(sums)
        totals = torch.stack([sums[name] for name in names]).tolist() if names else []
        return {name: total / counts[name] for name, total in zip(names, totals, strict=True)}

    def take(self) -> tuple[dict[str, float], int, float]:
        """Return and reset the means; also return images and seconds since the last `restart`."""
        means = self.means()
        self._stats.sums.clear()
        self._stats.counts.clear()
        return means, self._images, self.seconds

    def restart(self) -> None:
        """Reset images and clock; `take` resets the sums. The time between is not counted."""
        self._images = 0
        self._start = time.perf_counter()
