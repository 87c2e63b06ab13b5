"""What happened since the last tick: means of the statistics, and speed."""

import time
from collections import defaultdict
from collections.abc import Mapping

import torch
from torch import Tensor


class Meter:
    """Sums 0-d statistics on their device and reads them once per tick, so nothing waits."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._images = 0
        self._start = time.perf_counter()

    def add(self, statistics: Mapping[str, Tensor], images: int = 0) -> None:
        """Count the statistics of a step, and the images that it showed."""
        for name, value in statistics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] += 1
        self._images += images

    def take(self) -> tuple[dict[str, float], int, float]:
        """Return the means, the images and the seconds since the last `restart`."""
        names = sorted(self._sums)
        sums = torch.stack([self._sums[name] for name in names]).tolist() if names else []
        means = {name: total / self._counts[name] for name, total in zip(names, sums, strict=True)}
        return means, self._images, time.perf_counter() - self._start

    def restart(self) -> None:
        """Start the next tick; what is done between `take` and here counts for no speed."""
        self._sums.clear()
        self._counts.clear()
        self._images = 0
        self._start = time.perf_counter()
