"""A batch that does not fit into memory goes through the networks in parts.

Their gradients are averaged before the weights move, so batch, gradients and results are those of
the whole batch, but for rounding. Everything random was drawn for the whole batch before. What
an attempt that ran out of memory has computed is thrown away; it had changed nothing.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from progan.config import Run
from progan.errors import UserError
from progan.partition import coupling, rows, sizes
from progan.runtime.devices import is_out_of_memory, is_recording, release_memory
from progan.runtime.text import format_count
from progan.training.passes import ALL_AT_ONCE, Gradients, In, Inputs, Passes, Terms

T = TypeVar("T")
NARROWER = ("narrower networks (--fmap-max, --fmap-base), a smaller batch (--batch, --batch-at) "
            "or a lower --resolution")


class MicroBatches:
    """How many images go through the networks at once at each level, and what was learned of it.

    Args:
        report: Is told in one line when a batch did not fit.
    """

    def __init__(self, run: Run, device: torch.device, report: Callable[[str], None]) -> None:
        self._run, self._device, self._report = run, device, report
        self._most: dict[int, int] = {}  # by level

    def at(self, level: int) -> Passes:
        """The passes of steps at a level."""
        return _AtLevel(self, level, self._run, self._device)

    def size(self, level: int, n: int) -> int:
        """How many of `n` images go through the networks at once."""
        return at_once(self._run, n, self._most.get(level, self._run.micro_batch))

    def limit(self, level: int, most: int) -> None:
        """Let no more than `most` images through at once."""
        self._most[level] = most

    def shrink(self, level: int, n: int) -> None:
        """`n` images did not fit as they were sent: halve their parts, or raise UserError."""
        size = self.size(level, n)
        smaller = [each for each in parts_allowed(self._run, n) if 2 * each <= size]
        images = format_count(size, "image")
        where = f"Out of memory at resolution {1 << level}, with {images} at once"
        if not smaller:
            raise UserError(f"{where}. {no_smaller(self._run, n)}")
        self._most[level] = smaller[0]
        self._report(f"{where}: from here on the batch goes through in "
                     f"micro-batches of {smaller[0]}, with the same gradients.")


def at_once(run: Run, n: int, most: int | None = None) -> int:
    """How many of `n` images go through at once, if no more than `most` may (0: all).

    Args:
        most: --micro-batch if not given.
    """
    most = run.micro_batch if most is None else most
    return next((size for size in parts_allowed(run, n) if size <= (most or n)), n)


class _AtLevel:
    """Tries the size that the table names, and smaller ones where that is too large."""

    def __init__(self, micro: MicroBatches, level: int, run: Run, device: torch.device) -> None:
        self._micro, self._level, self._run, self._device = micro, level, run, device

    def images(self, draw: Callable[[In], Tensor], inputs: In) -> Tensor:
        return self._until_it_fits(lambda passes: passes.images(draw, inputs), inputs)

    def gradients(self, loss_of: Callable[[In], tuple[Tensor, Terms]], inputs: In,
                  weights: Sequence[nn.Parameter]) -> Gradients:
        return self._until_it_fits(lambda passes: passes.gradients(loss_of, inputs, weights),
                                   inputs)

    def _until_it_fits(self, attempt: Callable[[Passes], T], inputs: Inputs) -> T:
        n = len(inputs.labels)
        while True:
            size = self._micro.size(self._level, n)
            try:
                return attempt(in_parts_of(size, self._run, n, self._device))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or is_recording(self._device):
                    raise  # what is recorded has been computed in this way before
            # Only out here is the error gone, which held all that the attempt had made.
            gc.collect()
            release_memory(self._device)
            self._micro.shrink(self._level, n)


def in_parts_of(size: int, run: Run, n: int, device: torch.device) -> Passes:
    """Passes of a batch of `n` images, so many of them at once."""
    if size == n:
        return ALL_AT_ONCE
    return _InParts(_parts(run, n, n // size, device))


@lru_cache(maxsize=64)
def _parts(run: Run, n: int, count: int, device: torch.device) -> Tensor:
    """The rows of each part, made once: nothing can be brought to a device that records."""
    return torch.from_numpy(rows(run, n, count)).to(device)


class _InParts:
    """One part after the other; `parts` are the rows of each: int64 [count, size]."""

    def __init__(self, parts: Tensor) -> None:
        self._parts = parts

    def images(self, draw: Callable[[In], Tensor], inputs: In) -> Tensor:
        drawn = [ALL_AT_ONCE.images(draw, part) for part in cut(inputs, self._parts)]
        return in_order(torch.cat(drawn), self._parts)

    def gradients(self, loss_of: Callable[[In], tuple[Tensor, Terms]], inputs: In,
                  weights: Sequence[nn.Parameter]) -> Gradients:
        return averaged((ALL_AT_ONCE.gradients(loss_of, part, weights)
                         for part in cut(inputs, self._parts)), self._parts)


def cut(inputs: In, parts: Tensor) -> Iterator[In]:
    """Yield the inputs of each part; `parts` are the rows of each: int64 [count, size]."""
    for number, each in enumerate(parts):
        picked: In = tree_map_only(Tensor, partial(_rows, each), inputs)
        yield picked._replace(part=(*inputs.part, number))  # type: ignore[attr-defined]


def _rows(each: Tensor, tensor: Tensor) -> Tensor:
    return tensor[each]


def in_order(values: Tensor, parts: Tensor) -> Tensor:
    """Values of one part after the other, [N, ...] -> in the order of the whole."""
    ordered = torch.empty_like(values)
    ordered[parts.flatten()] = values
    return ordered


def averaged(found: Iterator[Gradients], parts: Tensor) -> Gradients:
    """Gradients of equal parts -> those of the whole."""
    total, terms = next(found)
    collected: dict[str, list[Tensor]] = {name: [value] for name, value in terms.items()}
    for more, terms in found:
        total = [None if one is None or other is None else one + other
                 for one, other in zip(total, more, strict=True)]
        for name, value in terms.items():
            collected[name].append(value)
    return Gradients([None if gradient is None else gradient / len(parts) for gradient in total],
                     {name: in_order(torch.cat(values), parts)
                      for name, values in collected.items()})


def parts_allowed(run: Run, n: int) -> list[int]:
    """How many of `n` images may go through at once, the most first."""
    return [n] if coupling(run) else sizes(run, n)


def no_smaller(run: Run, n: int) -> str:
    """Why a batch cannot be cut further, and what else helps."""
    if coupled := coupling(run):
        return (f"It cannot be cut into micro-batches: each image depends on all others, by "
                f"{coupled}. Choose {NARROWER}.")
    if (least := sizes(run, n)[-1]) > 1:
        return (f"Its micro-batches hold {least} images at least, the group that minibatch "
                f"standard deviation compares. Choose a smaller --stddev-group, {NARROWER}.")
    return f"There is nothing smaller than one image: choose {NARROWER}."


def require_micro_batch(run: Run, batches: Mapping[int, int]) -> None:
    """Raise UserError unless --micro-batch can be had at every level.

    Args:
        batches: Level -> images in a batch, of this process.
    """
    most = run.micro_batch
    for level, n in batches.items():
        if 0 < most < parts_allowed(run, n)[-1]:
            raise UserError(f"--micro-batch {most} is too small for the batch of {n} images at "
                            f"resolution {1 << level}. {no_smaller(run, n)}")
