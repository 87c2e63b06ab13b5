"""Randomness by counter: the same numbers on every machine and under every version of NumPy.

Only the raw words of Philox are used. NumPy promises those for ever; it does not promise the
streams of `Generator`, and a normal deviate passes through a logarithm that machines round
differently.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Option = TypeVar("Option")


def words(key: tuple[int, int], count: int) -> npt.NDArray[np.uint64]:
    """The first `count` words of the stream that the two 64-bit numbers of `key` name."""
    return np.random.Philox(key=np.array(key, dtype=np.uint64)).random_raw(count)


def octets(key: tuple[int, int], count: int) -> npt.NDArray[np.uint8]:
    """The first `count` bytes of the stream, in little-endian order on every machine."""
    return words(key, -(-count // 8)).astype("<u8").view(np.uint8)[:count]


class Dice:
    """Draws one number after the other from the stream of one portrait."""

    __slots__ = ("_words", "_next")

    CAPACITY = 256  # numbers per portrait; about 120 are used

    def __init__(self, key: tuple[int, int]) -> None:
        self._words: list[int] = words(key, self.CAPACITY).tolist()
        self._next = 0

    def word(self) -> int:
        """A number in 0..2**64-1."""
        self._next += 1
        return self._words[self._next - 1]

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Uniform in [low, high)."""
        return low + (high - low) * (self.word() >> 11) * 2.0**-53

    def bell(self, low: float, high: float) -> float:
        """Bell-shaped in [low, high): the mean of three uniform numbers."""
        return (self.uniform(low, high) + self.uniform(low, high) + self.uniform(low, high)) / 3

    def happens(self, probability: float) -> bool:
        """True with the given probability."""
        return self.uniform() < probability

    def pick(self, weights: dict[Option, float]) -> Option:
        """One of the keys, as often as its weight says."""
        left = self.uniform(0.0, sum(weights.values()))
        for option, weight in weights.items():
            left -= weight
            if left < 0:
                return option
        return option
