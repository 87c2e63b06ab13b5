"""All metrics by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from metrics import ms_ssim, swd
from metrics.draws import Draw, Size


class Measure(Protocol):
    """Computes the columns of one metric from as many images as reals, of one size."""

    def __call__(
        self, images: Draw, reals: Draw, *, seed: int, device: torch.device
    ) -> dict[str, float]: ...


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the images that it takes.

    Attributes:
        measure: Images and reals -> values by column name; all chance derives from the seed.
        require: Raises UserError unless it can measure that many images of that size.
        digits: Decimal places worth printing.
    """

    measure: Measure
    require: Callable[[Size, int], None]
    digits: int


METRICS = {
    "swd": Metric(swd.measure, swd.require, digits=2),
    "ms-ssim": Metric(ms_ssim.measure, ms_ssim.require, digits=4),
}
