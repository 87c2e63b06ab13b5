"""Which rows of the dataset come when: a new permutation of the whole set for each epoch."""

import numpy as np
import numpy.typing as npt

from progan.runtime.seeding import numpy_generator

Rows = npt.NDArray[np.int64]


class Shuffle:
    """An endless stream of rows; any stretch of it can be asked for, in any order."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def rows(self, start: int, size: int) -> Rows:
        """The rows at positions start … start + size - 1 of the stream: int64 [size]."""
        positions = np.arange(start, start + size)
        parts = [self._permutation(int(epoch))[positions[positions // self.count == epoch]
                                               % self.count]
                 for epoch in np.unique(positions // self.count)]
        return np.concatenate(parts)

    def _permutation(self, epoch: int) -> Rows:
        if epoch != self._epoch:
            stream = numpy_generator(self.seed, "shuffle", epoch)
            self._epoch, self._order = epoch, stream.permutation(self.count)
        return self._order
