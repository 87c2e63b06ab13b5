"""Sizes of micro-batches: which ones give the gradients of the whole batch, and which ones fit."""

from collections.abc import Callable, Mapping

from progan.batch_split import batch_coupling, split_sizes
from progan.config import Run
from progan.errors import UserError
from progan.runtime.text import format_count

NARROWER = (
    "narrower networks (--fmap-max, --fmap-base), a smaller batch (--batch, --batch-at) "
    "or a lower --resolution"
)


class MicroBatchSizes:
    """Maximum images per forward pass at each level; shrinks when memory runs out.

    Args:
        report: Receives one line when a batch did not fit into memory.
    """

    def __init__(self, run: Run, report: Callable[[str], None]) -> None:
        self._run, self._report = run, report
        self._limits: dict[int, int] = {}  # by level

    def size(self, level: int, n: int) -> int:
        """Return how many of `n` images go through the networks at once."""
        return micro_batch_size(self._run, n, self._limits.get(level, self._run.micro_batch))

    def limit(self, level: int, most: int) -> None:
        """Set the maximum of a level; 0: the whole batch."""
        self._limits[level] = most

    def shrink(self, level: int, n: int) -> None:
        """Halve the micro-batches of a batch of `n` that did not fit; raises UserError."""
        size = self.size(level, n)
        smaller = [each for each in allowed_sizes(self._run, n) if 2 * each <= size]
        images = format_count(size, "image")
        where = f"Out of memory at resolution {1 << level}, with {images} at once"
        if not smaller:
            raise UserError(f"{where}. {explain_smallest_size(self._run, n)}")
        self._limits[level] = smaller[0]
        self._report(
            f"{where}: from here on the batch goes through in "
            f"micro-batches of {smaller[0]}, with the same gradients."
        )


def micro_batch_size(run: Run, n: int, most: int | None = None) -> int:
    """Return the largest micro-batch of a batch of `n` that is allowed.

    Args:
        most: Upper limit, 0: none; by default that of --micro-batch.
    """
    most = run.micro_batch if most is None else most
    return next((size for size in allowed_sizes(run, n) if size <= (most or n)), n)


def allowed_sizes(run: Run, n: int) -> list[int]:
    """Return the micro-batch sizes that a batch of `n` can be split into, largest first."""
    return [n] if batch_coupling(run) else split_sizes(run, n)


def explain_smallest_size(run: Run, n: int) -> str:
    """Explain why a batch cannot be split further, and what else saves memory."""
    if coupled := batch_coupling(run):
        return (
            f"It cannot be cut into micro-batches: each image depends on all others, by "
            f"{coupled}. Choose {NARROWER}."
        )
    if (least := split_sizes(run, n)[-1]) > 1:
        return (
            f"Its micro-batches hold {least} images at least, the group that minibatch "
            f"standard deviation compares. Choose a smaller --stddev-group, {NARROWER}."
        )
    return f"There is nothing smaller than one image: choose {NARROWER}."


def require_micro_batch(run: Run, batches: Mapping[int, int]) -> None:
    """Raise UserError if --micro-batch is smaller than a level allows.

    Args:
        batches: Images per batch of this process, by level.
    """
    most = run.micro_batch
    for level, n in batches.items():
        if 0 < most < allowed_sizes(run, n)[-1]:
            raise UserError(
                f"--micro-batch {most} is too small for the batch of {n} images at "
                f"resolution {1 << level}. {explain_smallest_size(run, n)}"
            )
