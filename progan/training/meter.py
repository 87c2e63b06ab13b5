"""What happened since the last tick: means of the statistics, and speed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class StatSums:
    """Sums of the statistics since the last tick; a state that is saved between two has them."""

    sums: dict[str, Tensor] = field(default_factory=dict)  # 0-d, on the device
    counts: dict[str, int] = field(default_factory=dict)


class StepStats:
    """Sums 0-d statistics on their device and reads them once per tick, so nothing waits."""

    def __init__(self, tally: StatSums | None = None) -> None:
        self._tally = StatSums() if tally is None else tally
        self._images = 0
        self._start = time.perf_counter()

    def add(self, statistics: Mapping[str, Tensor], images: int = 0) -> None:
        """Count the statistics of a step, and the images that it showed."""
        sums, counts = self._tally.sums, self._tally.counts
        known = [name for name in statistics if name in sums]
        totals = (
            torch._foreach_add([sums[name] for name in known], [statistics[name] for name in known])
            if known
            else ()
        )
        sums |= {**statistics, **dict(zip(known, totals, strict=True))}
        for name in statistics:
            counts[name] = counts.get(name, 0) + 1
        self._images += images

    @property
    def seconds(self) -> float:
        """Since the last `restart`."""
        return time.perf_counter() - self._start

    def means(self) -> dict[str, float]:
        """Of each statistic, over its own steps; waits for the device."""
        sums, counts = self._tally.sums, self._tally.counts
        names = sorted(sums)
        totals = torch.stack([sums[name] for name in names]).tolist() if names else []
        return {name: total / counts[name] for name, total in zip(names, totals, strict=True)}

    def take(self) -> tuple[dict[str, float], int, float]:
        """Return the means, which start anew, and images and seconds since the last `restart`."""
        means = self.means()
        self._tally.sums.clear()
        self._tally.counts.clear()
        return means, self._images, self.seconds

    def restart(self) -> None:
        """Start the next tick; what is done between `take` and here counts for no speed."""
        self._images = 0
        self._start = time.perf_counter()
