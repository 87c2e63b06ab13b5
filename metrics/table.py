"""All metrics by name."""

from collections.abc import Callable
from dataclasses import dataclass

from metrics import discrete_modes, fidelity, ms_ssim, swd
from metrics.draws import Draw, Size
from metrics.setup import Setup


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric and the images that it takes.

    Attributes:
        measure: As many images as reals, of one size, and the setup -> values by column name.
        require: Raises UserError unless it can measure that many images of that size.
        digits: Decimal places worth printing; None: four digits, of what a detector scales.
        needs_detector: It compares features, or classes.
        require_detector: Raises UserError if the detector of the setup makes nothing it can use.
    """

    measure: Callable[[Draw, Draw, Setup], dict[str, float]]
    require: Callable[[Size, int], None]
    digits: int | None
    needs_detector: bool = False
    require_detector: Callable[[Setup], None] = lambda setup: None


METRICS = {
    "swd": Metric(swd.measure, swd.require, digits=2),
    "ms-ssim": Metric(ms_ssim.measure, ms_ssim.require, digits=4),
    "fid": Metric(fidelity.fid, fidelity.require, digits=None, needs_detector=True),
    "kid": Metric(fidelity.kid, fidelity.require, digits=None, needs_detector=True),
    "kid75": Metric(fidelity.kid75, fidelity.require, digits=None, needs_detector=True),
    "is": Metric(fidelity.inception_score, fidelity.require, digits=3, needs_detector=True),
    "pr": Metric(fidelity.precision_recall, fidelity.require, digits=4, needs_detector=True),
    "discrete-modes": Metric(
        discrete_modes.measure, discrete_modes.require, digits=None, needs_detector=True,
        require_detector=discrete_modes.require_detector),
}
