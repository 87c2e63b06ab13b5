"""What the losses are made of: scores, and who gives them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from torch import Tensor


class Judgement(Protocol):
    """What a critic says of N images."""

    @property
    def scores(self) -> Tensor:
        """[N], higher for real; minus the energy where the critic is an autoencoder."""

    @property
    def logits(self) -> Tensor:
        """[N, label_size], of the classes; label_size may be 0."""

    @property
    def code(self) -> Tensor | None:
        """[N, K], of an autoencoder."""


Critic = Callable[[Tensor], Judgement]
Dials = Mapping[str, Tensor]  # 0-d numbers that training moves itself, by name
Parts = dict[str, Tensor]  # what a loss is made of, [N] each


class CriticLosses(NamedTuple):
    """What a critic is asked for, [N] each; the sum is its loss."""

    real: Tensor
    fake: Tensor
    parts: Parts = {}  # for the curves


class Chances(NamedTuple):
    """The random numbers of a critic step, uniform in [0, 1)."""

    mix: Tensor  # [N, 1, 1, 1]: where between two images a gradient is taken
    pixels: Tensor | None = None  # [N, C, H, W]: what dragan adds to reals
    targets: Tensor | None = None  # [N, 2]: how far targets of reals and fakes are moved
