"""Split a batch into equal parts whose mean gradient is that of the whole batch.

The loss of a batch is a mean over its images. If no term depends on
several images, any part can be trained on alone, and the mean over equal parts is the loss. The
minibatch standard deviation uses groups of images, strided across the batch: with a stride S,
image i is in the class i mod S, and parts of whole classes, in order, have the same groups.
"""

from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from progan.config import Run
from progan.errors import UserError
from progan.ops import find_largest_divisor

Rows = NDArray[np.int64]


class Shard(NamedTuple):
    """The part of each batch that a process trains on: the `number`-th of `num_shards`."""

    number: int
    num_shards: int


UNSHARDED = Shard(0, 1)


def compute_min_independent_size(run: Run, n: int) -> int:
    """Return the size of the smallest part of a batch of `n` that is independent of the rest."""
    return n // gcd(*(n // each for each in _count_reals_per_stddev_group(run, n)))


def list_split_sizes(run: Run, n: int) -> list[int]:
    """Return the sizes of equal parts that a batch of `n` images can be split into, descending."""
    classes = n // compute_min_independent_size(run, n)
    parts = [n // count for count in range(1, classes + 1) if classes % count == 0]
    return [
        size
        for size in parts
        if _compute_stddev_group_sizes(run, size) == _compute_stddev_group_sizes(run, n)
    ]


def split_rows_into_parts(run: Run, n: int, count: int) -> Rows:
    """Return which images of a batch of `n` are in each of `count` parts: [count, n // count]."""
    assert n // count in list_split_sizes(run, n)
    return (
        np.arange(n)
        .reshape(compute_min_independent_size(run, n), count, -1)
        .transpose(1, 0, 2)
        .reshape(count, -1)
    )


def select_shard_rows(run: Run, n: int, shard: Shard) -> Rows:
    """Return the images of a batch of `n` in one shard, ascending by class and stride."""
    found: Rows = split_rows_into_parts(run, n, shard.num_shards)[shard.number]
    return found


def count_interleavable_blocks(run: Run, n: int) -> int:
    """Return into how many blocks `n` reals and `n` fakes are each cut to alternate in one batch.

    No score changes thereby. 0: reals and fakes need separate batches.
    """
    kept_apart = describe_batch_coupling(run) or run.random_layers or run.loss.separate_updates
    return (
        0
        if kept_apart or n not in list_split_sizes(run, 2 * n)
        else compute_min_independent_size(run, 2 * n)
    )


def describe_batch_coupling(run: Run) -> str:
    """Describe what makes each image of a batch depend on all others; '' if nothing does."""
    network, loss = run.network, run.loss
    if "batch" in (network.g_norm, network.d_norm):
        name = "--g-norm" if network.g_norm == "batch" else "--d-norm"
        return f"batch normalisation ({name} batch)"
    if network.minibatch_kernels and network.kind == "progressive":
        return f"minibatch discrimination (--minibatch-kernels {network.minibatch_kernels})"
    if loss.objective == "ebgan" and loss.pulling_away:
        return f"the pulling-away term of EBGAN (--pulling-away {loss.pulling_away:g})"
    if loss.objective == "dragan":
        return "DRAGAN's noise, which is as large as the spread of all reals"
    return ""


def require_splittable(run: Run, batches: dict[int, int], count: int) -> None:
    """Raise UserError unless every batch can be shared among `count` processes.

    Args:
        batches: Resolution -> images in a batch.
    """
    if count == 1:
        return
    if coupled := describe_batch_coupling(run):
        raise UserError(
            f"{count} processes cannot share a batch: each of its images depends on "
            f"all others, by {coupled}. Train with one process, or without that."
        )
    for resolution, n in batches.items():
        counts = [n // size for size in list_split_sizes(run, n)]
        if count not in counts:
            groups = f" (in whole groups of --stddev-group {run.network.stddev_group})" * bool(
                compute_min_independent_size(run, n) > 1
            )
            raise UserError(
                f"The batch of {n} images at resolution {resolution} cannot be shared equally "
                f"among {count} processes{groups}: "
                f"{_join_alternatives(counts)} could. Start that many "
                f"(--gpus, or torchrun --nproc-per-node), or choose a batch that is a multiple of "
                f"{count * compute_min_independent_size(run, n)} (--batch, --batch-at)."
            )


def _count_reals_per_stddev_group(run: Run, n: int) -> list[int]:
    """Return the number of reals in a group of the minibatch standard deviation, for each use."""
    if not _uses_stddev_groups(run):
        return [1]
    spans = [find_largest_divisor(n, run.network.stddev_group)]
    if run.loss.mixed_batches:
        both = find_largest_divisor(2 * n, run.network.stddev_group)  # reals and fakes in one batch
        spans.append(both // gcd(both, 2))
    return spans


def _compute_stddev_group_sizes(run: Run, n: int) -> Any:
    """Return the group sizes in a batch of `n` without and with fakes; False without groups."""
    group = run.network.stddev_group
    return _uses_stddev_groups(run) and (
        find_largest_divisor(n, group),
        run.loss.mixed_batches and find_largest_divisor(2 * n, group),
    )


def _uses_stddev_groups(run: Run) -> bool:
    """True if the discriminator compares images in groups (minibatch standard deviation)."""
    return bool(run.network.stddev_group) and run.network.kind != "autoencoder"


def _join_alternatives(numbers: list[int]) -> str:
    """Join numbers for people: [1, 2, 4] -> '1, 2 or 4'."""
    return " or ".join([", ".join(map(str, numbers[:-1])), str(numbers[-1])][len(numbers) < 2 :])
