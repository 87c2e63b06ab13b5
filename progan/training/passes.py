"""How the images of a step go through the networks.

A step says what to compute; its passes say for how many images at once. Micro-batches and
several processes wrap them, and give the same images, gradients and terms, but for rounding.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

Terms = dict[str, Tensor]  # what a loss is made of, [N] each


class Inputs(Protocol):
    """A named tuple of tensors with a row for each image."""

    @property
    def labels(self) -> Tensor:
        """[N, label_size]."""

    @property
    def part(self) -> tuple[int, ...]:
        """Which part of the batch these are, for random streams; () for all of it."""


In = TypeVar("In", bound=Inputs)


class Gradients(NamedTuple):
    """Of a loss: for each weight, None if it was not used."""

    of_weights: list[Tensor | None]
    terms: Terms


class Passes(Protocol):

    def images(self, draw: Callable[[In], Tensor], inputs: In) -> Tensor:
        """Return what `draw` makes of the inputs, in their order: [N, C, H, W], no gradients."""

    def gradients(self, loss_of: Callable[[In], tuple[Tensor, Terms]], inputs: In,
                  weights: Sequence[nn.Parameter]) -> Gradients:
        """Return the gradients of the mean loss of the inputs, and its terms in their order.

        `loss_of` returns the mean loss of some of the inputs, 0-d, and its terms. It changes
        nothing, so that it can be repeated.
        """


class AllAtOnce:
    """A batch is one part."""

    def images(self, draw: Callable[[In], Tensor], inputs: In) -> Tensor:
        with torch.no_grad():
            return draw(inputs)

    def gradients(self, loss_of: Callable[[In], tuple[Tensor, Terms]], inputs: In,
                  weights: Sequence[nn.Parameter]) -> Gradients:
        loss, terms = loss_of(inputs)
        return Gradients(list(torch.autograd.grad(loss, weights, allow_unused=True)), terms)


ALL_AT_ONCE = AllAtOnce()
