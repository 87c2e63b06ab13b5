"""Counter-based random numbers, smooth noise and film grain, equal on every machine.

Only the raw words of Philox are used. NumPy promises those for ever; it does not promise the
streams of `Generator`, and a normal deviate passes through a logarithm that machines round
differently.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from progan.data.portraits.shapes import Array

Option = TypeVar("Option")
LATTICE_SIDE = 64
COARSEST_GRAIN = 64  # pixels per side of the first level of the grain
FINEST_GRAIN = 1024  # and of the last


def random_words(key: tuple[int, int], count: int) -> npt.NDArray[np.uint64]:
    """The first `count` words of the stream that the two 64-bit numbers of `key` name."""
    return np.random.Philox(key=np.array(key, dtype=np.uint64)).random_raw(count)


def random_bytes(key: tuple[int, int], count: int) -> npt.NDArray[np.uint8]:
    """The first `count` bytes of the stream, in little-endian order on every machine."""
    return random_words(key, -(-count // 8)).astype("<u8").view(np.uint8)[:count]


class Rng:
    """Draws one number after the other from the stream of one portrait."""

    __slots__ = ("_words", "_next")

    CAPACITY = 256  # numbers per portrait; about 120 are used

    def __init__(self, key: tuple[int, int]) -> None:
        self._words: list[int] = random_words(key, self.CAPACITY).tolist()
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

    def bernoulli(self, probability: float) -> bool:
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


def noise_lattice(texture: int) -> Array:
    """Noise [64, 64] in -1..1 for `value_noise`."""
    return _uniform_noise(texture, 0, (LATTICE_SIDE, LATTICE_SIDE))


def film_grain(texture: int, resolution: int) -> Array:
    """Film grain [R, R], of the order of 1, for R a power of two from 64; finer is stronger.

    A Haar pyramid: each level adds detail whose 2x2 averages are zero, so the grain at half the
    resolution is exactly the average of this one.
    """
    field = _uniform_noise(texture, 1, (COARSEST_GRAIN, COARSEST_GRAIN)) * np.float32(0.25)
    stream = 2
    while field.shape[0] < resolution:
        field = _refine(field, _uniform_noise(texture, stream, (3, *field.shape)))
        stream += 1
    return field


def _refine(field: Array, detail: Array) -> Array:
    """Twice the resolution: `detail` [3, n, n] holds the Haar coefficients of `field` [n, n]."""
    side = field.shape[0]
    strength = 0.1 + 0.4 * (2 * side / FINEST_GRAIN)  # coarse grain would look like cloth
    across, down, diagonal = detail * np.float32(strength)
    finer = np.empty((side, 2, side, 2), dtype=np.float32)
    finer[:, 0, :, 0] = field + across + down + diagonal
    finer[:, 0, :, 1] = field - across + down - diagonal
    finer[:, 1, :, 0] = field + across - down - diagonal
    finer[:, 1, :, 1] = field - across - down + diagonal
    return finer.reshape(2 * side, 2 * side)


def _uniform_noise(texture: int, stream: int, shape: tuple[int, ...]) -> Array:
    """Uniform noise in -1..1 from the named stream."""
    raw = random_bytes((texture, stream), int(np.prod(shape))).reshape(shape)
    return raw.astype(np.float32) * np.float32(1 / 127.5) - np.float32(1)
