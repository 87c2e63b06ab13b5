"""Gradients of the mean loss of a batch: in micro-batches, over processes, scaled for float16.

A step passes a loss (`loss_of`) to a `BatchSplit`, which evaluates it in parts. The result is that
of the whole batch, but for rounding: all random numbers were drawn for the whole batch before, and
the rows of each part keep the groups of the minibatch standard deviation together
(`progan.batch_split`).

Example: a batch of 16 images and --stddev-group 4, whose groups are strided: {0, 4, 8, 12},
{1, 5, 9, 13}, ... Two processes train on it, each in micro-batches of 4, with a loss scale of 2^16.

    rows of process 0:         0 1 4 5 8 9 12 13     (`split_rows_into_parts`: two whole groups)
    its micro-batches:         0 4 8 12 | 1 5 9 13   (`split_inputs`: one group each)
    gradients of micro-batch:  g0, g1 of 2^16 * its mean loss   (`compute_gradients_at_once`)
    of process 0:              p0 = (g0 + g1) / 2               (`average_parts`)
    of the batch:              (p0 + p1) / 2, one all-reduce    (`all_reduce`)
    returned:                  that / 2^16                      (`unscale_gradients`)

The terms of the loss, one number per image, are put back into the order of the batch at each stage.

Micro-batches that run out of memory are halved for their level, and what did not fit, images or
gradients, is computed again.
"""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from progan.batch_split import describe_batch_coupling, list_split_sizes, split_rows_into_parts
from progan.config import Run
from progan.errors import UserError
from progan.losses.penalties import Terms
from progan.runtime.devices import is_capturing, is_out_of_memory, release_memory
from progan.runtime.distributed import SINGLE_PROCESS, Group
from progan.runtime.text import PrintLine, format_count

NARROWER = (
    "narrower networks (--fmap-max, --fmap-base), a smaller batch (--batch, --batch-at) "
    "or a lower --resolution"
)
T = TypeVar("T")


class Inputs(Protocol):
    """A named tuple of tensors with a row for each image."""

    @property
    def labels(self) -> Tensor:
        """[N, label_size]."""

    @property
    def part(self) -> tuple[int, ...]:
        """Indices of this part of the batch, for random streams; () for the whole batch."""


In = TypeVar("In", bound=Inputs)
LossOf = Callable[[In], tuple[Tensor, Terms]]  # mean loss of some inputs, 0-d, and its terms


class Gradients(NamedTuple):
    """Gradients of a loss, and its terms of each image."""

    of_weights: list[Tensor | None]  # None for weights that were not used
    terms: Terms


class MicroBatchSizes:
    """Maximum images of a batch computed at once at each level; shrinks when memory runs out.

    The discriminator's step computes as many reals and as many fakes, perhaps in one pass.

    Args:
        print_line: Receives one line when a batch did not fit into memory.
    """

    def __init__(self, run: Run, print_line: PrintLine) -> None:
        self._run, self._print_line = run, print_line
        self._limits: dict[int, int] = {}  # by level

    def size(self, level: int, n: int) -> int:
        """Return how many images of a batch of `n` are computed at once."""
        return largest_micro_batch(self._run, n, self._limits.get(level, self._run.micro_batch))

    def limit(self, level: int, most: int) -> None:
        """Set the maximum of a level; 0: the whole batch."""
        self._limits[level] = most

    def shrink(self, level: int, n: int) -> None:
        """Halve the micro-batches of a batch of `n` that did not fit; raises UserError."""
        size = self.size(level, n)
        smaller = [each for each in allowed_sizes(self._run, n) if 2 * each <= size]
        images = format_count(size, "image")
        where = f"Out of memory at resolution {1 << level}, with {images} of the batch at once"
        if not smaller:
            raise UserError(f"{where}. {explain_smallest_size(self._run, n)}")
        self._limits[level] = smaller[0]
        self._print_line(
            f"{where}: from here on the batch goes through in "
            f"micro-batches of {smaller[0]}, with the same gradients."
        )


def largest_micro_batch(run: Run, n: int, most: int | None = None) -> int:
    """Return the largest micro-batch of a batch of `n` that is allowed.

    Args:
        most: Upper limit, 0: none; by default that of --micro-batch.
    """
    most = run.micro_batch if most is None else most
    return next((size for size in allowed_sizes(run, n) if size <= (most or n)), n)


def allowed_sizes(run: Run, n: int) -> list[int]:
    """Return the micro-batch sizes that a batch of `n` can be split into, largest first."""
    return [n] if describe_batch_coupling(run) else list_split_sizes(run, n)


def explain_smallest_size(run: Run, n: int) -> str:
    """Explain why a batch cannot be split further, and what else saves memory."""
    if coupled := describe_batch_coupling(run):
        return (
            f"It cannot be cut into micro-batches: each image depends on all others, by "
            f"{coupled}. Choose {NARROWER}."
        )
    if (least := list_split_sizes(run, n)[-1]) > 1:
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


@dataclass(frozen=True)
class BatchSplit:
    """Evaluates losses in micro-batches and over processes; by default neither.

    Attributes:
        micro_batches: None: all images of this process at once.
        group: The processes that share each batch; the inputs are this process's part.
    """

    micro_batches: MicroBatchSizes | None = None
    group: Group = SINGLE_PROCESS

    def images(self, run: Run, level: int, generate: Callable[[In], Tensor], inputs: In) -> Tensor:
        """Generate images of this process's inputs, in their order, without gradients.

        Returns:
            [N, C, H, W].
        """

        def attempt(parts: Tensor | None) -> Tensor:
            if parts is None:
                return generate_images_at_once(generate, inputs)
            found = [
                generate_images_at_once(generate, part) for part in split_inputs(inputs, parts)
            ]
            return unpermute(torch.cat(found), parts)

        return self._until_it_fits(run, level, inputs, attempt)

    def gradients(
        self,
        run: Run,
        level: int,
        loss_of: LossOf[In],
        inputs: In,
        weights: Sequence[nn.Parameter],
        scale: Tensor | None = None,
    ) -> Gradients:
        """Return the gradients of the mean loss of the whole batch, and the terms of all images.

        Args:
            loss_of: May be called again for the same part, which must give the same loss.
            scale: Loss scale, 0-d; None: 1.
        """

        def scaled_loss(part: In) -> tuple[Tensor, Terms]:
            loss, terms = loss_of(part)
            return (loss if scale is None else loss * scale), terms

        def attempt(parts: Tensor | None) -> Gradients:
            if parts is None:
                return compute_gradients_at_once(scaled_loss, inputs, weights)
            return average_parts(
                (
                    compute_gradients_at_once(scaled_loss, part, weights)
                    for part in split_inputs(inputs, parts)
                ),
                parts,
            )

        own = self._until_it_fits(run, level, inputs, attempt)
        return unscale_gradients(all_reduce(own, run, self.group), scale)

    def _until_it_fits(
        self, run: Run, level: int, inputs: Inputs, attempt: Callable[[Tensor | None], T]
    ) -> T:
        """Call `attempt` with the rows of each micro-batch, smaller ones while memory runs out."""
        n, device = len(inputs.labels), inputs.labels.device
        while True:
            size = self.micro_batches.size(level, n) if self.micro_batches else n
            try:
                return attempt(
                    None if size == n else split_rows_on_device(run, n, n // size, device)
                )
            except (RuntimeError, MemoryError) as error:
                # A captured step has fitted before.
                if not self.micro_batches or not is_out_of_memory(error) or is_capturing(device):
                    raise
            # Only here, outside of `except`, are the tensors of the attempt freed.
            gc.collect()
            release_memory(device)
            self.micro_batches.shrink(level, n)


FULL_BATCH = BatchSplit()


@torch.no_grad()
def generate_images_at_once(generate: Callable[[In], Tensor], inputs: In) -> Tensor:
    """Generate images of all inputs at once, without gradients."""
    return generate(inputs)


def compute_gradients_at_once(
    loss_of: LossOf[In], inputs: In, weights: Sequence[nn.Parameter]
) -> Gradients:
    """Compute the gradients of a loss, of all inputs at once."""
    loss, terms = loss_of(inputs)
    return Gradients(list(torch.autograd.grad(loss, weights, allow_unused=True)), terms)


# Micro-batches


@lru_cache(maxsize=64)
def split_rows_on_device(run: Run, n: int, count: int, device: torch.device) -> Tensor:
    """Return the rows of each of `count` parts: int64 [count, n // count].

    Cached, since a copy to a GPU waits for it, and cannot be captured.
    """
    return torch.from_numpy(split_rows_into_parts(run, n, count)).to(device)


def split_inputs(inputs: In, parts: Tensor) -> Iterator[In]:
    """Yield the inputs of each part; `parts` are the rows of each: int64 [count, size]."""
    for number, each in enumerate(parts):
        picked: In = tree_map_only(Tensor, itemgetter(each), inputs)
        yield picked._replace(part=(*inputs.part, number))  # type: ignore[attr-defined]


def unpermute(values: Tensor, parts: Tensor) -> Tensor:
    """Reorder values that are concatenated by part, [N, ...], into the order of the batch."""
    ordered = torch.empty_like(values)
    ordered[parts.flatten()] = values
    return ordered


def average_parts(found: Iterator[Gradients], parts: Tensor) -> Gradients:
    """Average the gradients of equal parts, and reorder their terms."""
    total, terms = next(found)
    collected: dict[str, list[Tensor]] = {name: [value] for name, value in terms.items()}
    for more, terms in found:
        total = [
            None if one is None or other is None else one + other
            for one, other in zip(total, more, strict=True)
        ]
        for name, value in terms.items():
            collected[name].append(value)
    return Gradients(
        [None if gradient is None else gradient / len(parts) for gradient in total],
        {name: unpermute(torch.cat(values), parts) for name, values in collected.items()},
    )


# All-reduce


def all_reduce(own: Gradients, run: Run, group: Group) -> Gradients:
    """Average the gradients of all processes, and gather the terms of all images.

    Both go into one message: one all-reduce per network and step. Every process gets the same
    bits, so that weights stay equal.
    """
    if group.size == 1:
        return own
    used = [gradient for gradient in own.of_weights if gradient is not None]
    names = sorted(own.terms)
    terms = _scatter_terms(torch.stack([own.terms[name] for name in names]), run, group)
    message = torch.cat([part.reshape(-1) for part in (*used, terms)])
    group.all_reduce(message)
    *sums, of_all = message.split([part.numel() for part in (*used, terms)])
    found = iter(
        [
            total.reshape(gradient.shape) / group.size
            for total, gradient in zip(sums, used, strict=True)
        ]
    )
    return Gradients(
        [None if gradient is None else next(found) for gradient in own.of_weights],
        dict(zip(names, of_all.reshape(terms.shape), strict=True)),
    )


def _scatter_terms(values: Tensor, run: Run, group: Group) -> Tensor:
    """Place the terms of this process's images among zeros: [T, N] -> [T, N of all processes]."""
    n = values.shape[1] * group.size
    own = split_rows_on_device(run, n, group.size, values.device)[group.rank]
    return values.new_zeros(len(values), n).index_copy(1, own, values)


# Loss scale


def unscale_gradients(gradients: Gradients, scale: Tensor | None) -> Gradients:
    """Divide gradients by the scale of their loss."""
    if scale is None:
        return gradients
    used = [gradient for gradient in gradients.of_weights if gradient is not None]
    divided = iter(torch._foreach_div(used, scale))
    return gradients._replace(
        of_weights=[
            None if gradient is None else next(divided) for gradient in gradients.of_weights
        ]
    )
