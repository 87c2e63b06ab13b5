"""Where a run is and when it will end: the words for it, and a bar on a terminal."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from progan.config import Network, Run
from progan.runtime.log import human_seconds
from progan.schedule import Stage
from progan.sizes import growing_name, stage_name
from progan.training.eta import Forecast

LAYOUT = "{{desc}} {{percentage:3.0f}}%|{{bar}}| {{n:.{digits}f}}/{{total:g}} kimg, {{unit}}"


class Progress:
    """Times the rounds, for the forecast and for the bar."""

    def __init__(self, run: Run, images_seen: int, expected: Mapping[int, float], *,
                 shown: bool = True) -> None:
        self.forecast = Forecast(run.growth, run.network, expected, run.output.snapshot_ticks)
        self._network = run.network
        self._images_seen = images_seen
        self._start = time.perf_counter()
        self._bar = tqdm(total=run.growth.total_kimg, initial=images_seen / 1000, leave=False,
                         bar_format=LAYOUT.format(digits=_digits(run.growth.total_kimg)),
                         disable=not (shown and sys.stderr.isatty()),
                         dynamic_ncols=True)

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
