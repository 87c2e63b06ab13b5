"""Loss scaling of --precision fp16: gradients that float16 would round to zero, or overflow.

Losses are multiplied by a scale, and their gradients divided by it. It grows a little with each
step, and a step whose gradients are not all finite halves it and moves neither weights nor
moments (official code: tfutil.Optimizer). Each network has a scale of its own, a dial that holds
its log2. Where convolutions are in float32 nothing is scaled, and the dial rests.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from progan.config import Run
from progan.training.passes import Gradients, In, Passes, Terms
from progan.training.precision import is_lowered

CRITIC, GENERATOR = "loss-scale/critic", "loss-scale/generator"  # dials: log2 of the scales
# The official 64 costs half a hundred steps, as nothing above 2^16 is a float16; from here on the
# paper's networks skip a few.
START = 16.0
GROWTH, SHRINKAGE = 0.0005, 1.0  # of the log2; loss_scaling_inc and _dec of the official code
# So low, the gradients that a guard lets pass (--largest 1e6, divided by He's constant of a wide
# layer) do not overflow: what is not finite then has other reasons.
LEAST = 2.0**-10
OF_GRADIENTS = ("gradient/", "loss/penalty")  # statistics that overflow with their scale
WITH_PENALTY = "loss/critic"


def initial(run: Run) -> dict[str, float]:
    """The dials of loss scaling, as they are at the start."""
    return {CRITIC: START, GENERATOR: START} if run.precision == "fp16" else {}


def scale_of(dials: Mapping[str, Tensor], name: str, run: Run, level: int) -> Tensor | None:
    """What a loss at a level is multiplied by, 0-d; None: nothing is scaled."""
    if name not in dials or not is_lowered(run, level):
        return None
    if dials[name].is_meta:  # optimizers of states without data cannot skip a step
        return None
    return dials[name].exp2()


def scaled(passes: Passes, scale: Tensor | None) -> Passes:
    """Passes with the same gradients, computed of losses that are multiplied by a scale."""
    return passes if scale is None else _Scaled(passes, scale)


class _Scaled:

    def __init__(self, passes: Passes, scale: Tensor) -> None:
        self._passes, self._scale = passes, scale

    def images(self, draw: Callable[[In], Tensor], inputs: In) -> Tensor:
        return self._passes.images(draw, inputs)

    def gradients(self, loss_of: Callable[[In], tuple[Tensor, Terms]], inputs: In,
                  weights: Sequence[nn.Parameter]) -> Gradients:

        def scaled_loss(part: In) -> tuple[Tensor, Terms]:
            loss, terms = loss_of(part)
            return loss * self._scale, terms

        found, terms = self._passes.gradients(scaled_loss, inputs, weights)
        used = [gradient for gradient in found if gradient is not None]
        divided = iter(torch._foreach_div(used, self._scale))
        return Gradients([None if gradient is None else next(divided) for gradient in found], terms)


def turn(dial: Tensor, norm: Tensor) -> None:
    """Move the dial after a step with such a norm of gradients."""
    dial.add_(torch.where(norm.isfinite(), GROWTH, -SHRINKAGE))


def told(statistics: Mapping[str, Tensor], scale: Tensor | None) -> dict[str, Tensor]:
    """Statistics of a step, in which what has overflowed by its scale counts as 0.

    A skipped step moves nothing, and is no reason to go back. So only statistics of gradients
    are hidden (with the loss that contains their penalty), and only while the scale can still
    fall: scores and other losses, which nothing scales, show at once what is not finite.
    """
    if scale is None:
        return dict(statistics)
    return {name: torch.where(value.isfinite() | (scale < LEAST), value, 0)
            if name.startswith(OF_GRADIENTS) or name == WITH_PENALTY else value
            for name, value in statistics.items()}
