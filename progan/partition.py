"""How a batch is cut into equal parts that give the gradient of the whole one.

The loss of a batch is a mean over its images. Where no image is judged by looking at others, any
part can be trained on by itself, and the mean over equal parts is the loss. The minibatch
standard deviation looks at groups of images, strided across the batch: with a stride S, image i
is in the class i mod S, and parts that hold whole classes, in order, have the very same groups.
"""

from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from progan.config import Run
from progan.errors import UserError
from progan.ops import largest_divisor

Rows = NDArray[np.int64]


class Shard(NamedTuple):
    """Which of the equal parts of each batch a process trains on."""

    number: int
    of: int


UNSHARDED = Shard(0, 1)


def unit(run: Run, n: int) -> int:
    """Return the fewest images of a batch of `n` that no statistic of a group ties to others."""
    return n // gcd(*(n // each for each in _group_spans(run, n)))


def sizes(run: Run, n: int) -> list[int]:
    """The sizes of the equal parts that a batch of `n` images can be cut into, largest first."""
    classes = n // unit(run, n)
    parts = [n // count for count in range(1, classes + 1) if classes % count == 0]
    return [size for size in parts if _groups(run, size) == _groups(run, n)]


def rows(run: Run, n: int, count: int) -> Rows:
    """Return which images of a batch of `n` are in each of `count` parts: [count, n // count]."""
    assert n // count in sizes(run, n)
    return np.arange(n).reshape(unit(run, n), count, -1).transpose(1, 0, 2).reshape(count, -1)


def own_rows(run: Run, n: int, share: Shard) -> Rows:
    """The images of a batch of `n` in one part, in ascending order of class and stride."""
    found: Rows = rows(run, n, share.of)[share.number]
    return found


def turns(run: Run, n: int) -> int:
    """In how many turns of equal length reals and fakes, `n` of each, can follow each other in a
    batch of which each image is judged as among its like; 0: in none, keep them apart."""
    kept_apart = coupling(run) or run.random_layers or run.objective.separate_updates
    return 0 if kept_apart or n not in sizes(run, 2 * n) else unit(run, 2 * n)


def coupling(run: Run) -> str:
    """What makes each image of a batch depend on all others, with its option; '' if nothing."""
    network, objective = run.network, run.objective
    if "batch" in (network.g_norm, network.d_norm):
        name = "--g-norm" if network.g_norm == "batch" else "--d-norm"
        return f"batch normalisation ({name} batch)"
    if network.minibatch_kernels and network.kind == "progressive":
        return f"minibatch discrimination (--minibatch-kernels {network.minibatch_kernels})"
    if objective.objective == "ebgan" and objective.pulling_away:
        return f"the pulling-away term of EBGAN (--pulling-away {objective.pulling_away:g})"
    if objective.objective == "dragan":
        return "DRAGAN's noise, which is as large as the spread of all reals"
    return ""


def require_shares(run: Run, batches: dict[int, int], count: int) -> None:
    """Raise UserError unless every batch can be shared among `count` processes.

    Args:
        batches: Resolution -> images in a batch.
    """
    if count == 1:
        return
    if coupled := coupling(run):
        raise UserError(
            f"{count} processes cannot share a batch: each of its images depends on "
            f"all others, by {coupled}. Train with one process, or without that."
        )
    for resolution, n in batches.items():
        counts = [n // size for size in sizes(run, n)]
        if count not in counts:
            groups = f" (in whole groups of --stddev-group {run.network.stddev_group})" * bool(
                unit(run, n) > 1
            )
            raise UserError(
                f"The batch of {n} images at resolution {resolution} cannot be shared equally "
                f"among {count} processes{groups}: {_listed(counts)} could. Start that many "
                f"(torchrun --nproc-per-node), or choose a batch that is a multiple of "
                f"{count * unit(run, n)} (--batch, --batch-at)."
            )


def _group_spans(run: Run, n: int) -> list[int]:
    """How many reals each group of the minibatch standard deviation spans, for each use of it."""
    if not _looks_at_groups(run):
        return [1]
    spans = [largest_divisor(n, run.network.stddev_group)]
    if run.objective.mixed_batches:
        both = largest_divisor(2 * n, run.network.stddev_group)  # reals and fakes in one batch
        spans.append(both // gcd(both, 2))
    return spans


def _groups(run: Run, n: int) -> Any:
    """Sizes of the groups in a batch of `n`, apart from fakes and together with them."""
    group = run.network.stddev_group
    return _looks_at_groups(run) and (
        largest_divisor(n, group),
        run.objective.mixed_batches and largest_divisor(2 * n, group),
    )


def _looks_at_groups(run: Run) -> bool:
    return bool(run.network.stddev_group) and run.network.kind != "autoencoder"


def _listed(numbers: list[int]) -> str:
    return " or ".join([", ".join(map(str, numbers[:-1])), str(numbers[-1])][len(numbers) < 2 :])
