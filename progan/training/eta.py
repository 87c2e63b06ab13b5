"""When will it end? From the speeds measured so far and the schedule."""

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from progan import schedule
from progan.config import Growth, Network
from progan.networks.cost import multiply_adds

NOTHING: Mapping[int, float] = MappingProxyType({})


class Forecast:
    """Learns how long an image takes at each level, and tells how long the rest will take.

    Args:
        expected: Seconds per image by level, as tried out or estimated before.
    """

    def __init__(self, growth: Growth, network: Network,
                 expected: Mapping[int, float] = NOTHING) -> None:
        self._growth, self._network, self._expected = growth, network, expected
        self._images: dict[int, int] = defaultdict(int)
        self._seconds: dict[int, float] = defaultdict(float)

    def measure(self, level: int, images: int, seconds: float) -> None:
        self._images[level] += images
        self._seconds[level] += seconds

    def remaining_seconds(self, images_seen: int) -> tuple[float, float]:
        """Seconds to the end of the present phase and of the run; 0 if nothing was measured."""
        if not self._images:
            return 0.0, 0.0
        speeds = {level: self._seconds[level] / self._images[level] for level in self._images}
        return remaining_seconds(self._growth, self._network, images_seen, speeds,
                                 self._expected)


def remaining_seconds(growth: Growth, network: Network, images_seen: int,
                      measured: Mapping[int, float], expected: Mapping[int, float] = NOTHING
                      ) -> tuple[float, float]:
    """Return the seconds to the end of the present phase, and to the end of the run.

    Args:
        measured: Seconds per image by level; at least one level.
        expected: The same, as tried out or estimated before; perhaps of other levels.
    """
    kimg = images_seen / 1000
    left = [(phase.end_kimg - max(phase.start_kimg, kimg), phase.stage.level)
            for phase in schedule.phases(growth, network) if phase.end_kimg > kimg]
    seconds = [1000 * kimg_left * seconds_per_image(network, level, measured, expected)
               for kimg_left, level in left]
    return (seconds[0] if seconds else 0.0), sum(seconds)


def seconds_per_image(network: Network, level: int, measured: Mapping[int, float],
                      expected: Mapping[int, float] = NOTHING) -> float:
    """As measured; a level that was not reached yet costs as much more than the nearest measured
    one as was expected, or else as it multiplies more."""
    nearest = min(measured, key=lambda other: abs(other - level))
    if {level, nearest} <= set(expected):
        return measured[nearest] * expected[level] / expected[nearest]
    return measured[nearest] * multiply_adds(network, level) / multiply_adds(network, nearest)
