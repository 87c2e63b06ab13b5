"""Micro-batches against whole batches, and what happens when memory runs out."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from progan.errors import UserError
from progan.training import gradients as module
from progan.training.gradients import (
    BatchSplit,
    MicroBatchSizes,
    compute_gradients_at_once,
    generate_images_at_once,
    require_micro_batch,
)
from tests.builders import tiny_run
from tests.training.equal_steps import (
    COMMON,
    RUNS,
    Recorded,
    born,
    iterations,
    relative_error,
    run_of,
    tensors,
)

LEVEL = 3  # of 8x8, where the steps are
every_run = pytest.mark.parametrize("name", RUNS)


def in_parts(run: Any, most: int) -> Recorded:
    sizes = MicroBatchSizes(run, print_line=pytest.fail)
    sizes.limit(LEVEL, most)
    return Recorded(sizes)


@every_run
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_gradients_of_micro_batches_are_those_of_the_whole(
    name: str, dtype: torch.dtype, error: float
) -> None:
    run = run_of(name)
    whole, parts = Recorded(), in_parts(run, 4)
    one, other = born(run, dtype), born(run, dtype)
    expected, found = iterations(run, one, 1, whole), iterations(run, other, 1, parts)
    # The second step of an iteration follows the first update, which magnifies rounding.
    assert relative_error(parts.seen[:1], whole.seen[:1]) < error
    if dtype == torch.float64:
        assert relative_error(parts.seen, whole.seen) < 1e-9
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(
            found[key],
            value,
            rtol=1e-4 if dtype == torch.float32 else 1e-9,
            atol=1e-5 if dtype == torch.float32 else 1e-10,
            msg=key,
        )


@every_run
def test_after_some_iterations_all_is_the_same(name: str) -> None:
    run = run_of(name)
    one, other = born(run), born(run)
    iterations(run, one, 3)
    iterations(run, other, 3, in_parts(run, 4))
    expected = tensors(one)
    for key, value in tensors(other).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-6, atol=1e-8, msg=key)


def test_a_smaller_group_is_another_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the comparison above could not tell whole groups from broken ones."""
    run = run_of("progressive, wgan-gp, adaptive")
    whole, broken = Recorded(), in_parts(run, 4)
    iterations(run, born(run), 1, whole)
    neighbours = torch.arange(8).reshape(2, 4)  # where groups are strided
    monkeypatch.setattr(module, "split_rows_on_device", lambda *arguments: neighbours)
    iterations(run, born(run), 1, broken)
    assert relative_error(broken.seen[:1], whole.seen[:1]) > 1e-3


class Memory:
    """Fails like CUDA for more images at once than fit, after half of the work."""

    def __init__(self, most: int) -> None:
        self.most, self.failures, self.sizes = most, 0, set[int]()

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "Memory":
        monkeypatch.setattr(module, "generate_images_at_once", self._images)
        monkeypatch.setattr(module, "compute_gradients_at_once", self._gradients)
        return self

    def _images(self, generate: Callable[[Any], Any], inputs: Any) -> Any:
        return self._fitting(inputs, generate_images_at_once(generate, inputs))

    def _gradients(self, loss_of: Callable[[Any], Any], inputs: Any, weights: Any) -> Any:
        return self._fitting(inputs, compute_gradients_at_once(loss_of, inputs, weights))

    def _fitting(self, inputs: Any, result: Any) -> Any:
        n = len(inputs.labels)
        if n > self.most:
            self.failures += 1
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.add(n)
        return result


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], Memory]]:
    yield lambda most: Memory(most).install(monkeypatch)


@every_run
def test_out_of_memory_halves_the_micro_batch_and_repeats_the_step(
    name: str, memory: Callable[[int], Memory]
) -> None:
    """The first images do not fit: all is as with these micro-batches from the beginning."""
    run, lines = run_of(name), list[str]()
    expected = born(run)
    iterations(run, expected, 2, in_parts(run, 4))
    small, state = memory(4), born(run)
    iterations(run, state, 2, BatchSplit(MicroBatchSizes(run, lines.append)))
    assert small.failures == 1 and small.sizes == {4}
    (line,) = lines
    assert "Out of memory at resolution 8, with 8 images" in line and "micro-batches of 4" in line
    theirs = tensors(expected)
    for key, value in tensors(state).items():
        assert torch.equal(value, theirs[key]), key


def test_images_that_are_finished_when_memory_runs_out_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, sizes = run_of("dcgan, lsgan"), list[int]()
    memory = Memory(4).install(monkeypatch)

    def generate_any_number(generate: Callable[[Any], Any], inputs: Any) -> Any:
        sizes.append(len(inputs.labels))
        return generate_images_at_once(generate, inputs)

    monkeypatch.setattr(module, "generate_images_at_once", generate_any_number)
    iterations(run, born(run), 2, BatchSplit(MicroBatchSizes(run, lambda line: None)))
    assert memory.failures == 1 and sizes == [8, 4, 4]


def test_out_of_memory_in_the_middle_of_a_run(memory: Callable[[int], Memory]) -> None:
    """As when another program takes memory; also between the two updates of a step."""
    run = run_of("dcgan, gan, separate")
    state, whole = born(run), born(run)
    iterations(run, whole, 3)
    device, lines = memory(8), list[str]()
    calls = 0

    class Shrinking(Recorded):
        def gradients(self, *arguments: Any) -> Any:
            nonlocal calls
            calls += 1
            device.most = 8 if calls < 5 else 4
            return super().gradients(*arguments)

    iterations(run, state, 3, Shrinking(MicroBatchSizes(run, lines.append)))
    assert len(lines) == 1 and device.failures == 1 and device.sizes == {8, 4}
    theirs = tensors(whole)
    for key, value in tensors(state).items():
        torch.testing.assert_close(value, theirs[key], rtol=1e-6, atol=1e-8, msg=key)


def test_where_not_even_one_group_fits_training_stops_with_advice(
    memory: Callable[[int], Memory],
) -> None:
    run, lines = run_of("progressive, relativistic"), list[str]()
    state = born(run)
    before = {name: value.clone() for name, value in tensors(state).items()}
    memory(3)
    with pytest.raises(UserError) as error:
        iterations(run, state, 1, BatchSplit(MicroBatchSizes(run, lines.append)))
    words = str(error.value)
    assert "at resolution 8, with 4 images of the batch at once" in words
    assert "--stddev-group" in words and "--fmap-max" in words and len(lines) == 1
    after = tensors(state)
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_coupled_batch_is_not_cut(memory: Callable[[int], Memory]) -> None:
    run = tiny_run(**(COMMON | dict(g_norm="batch")))
    memory(4)
    with pytest.raises(UserError, match=re.escape("batch normalisation (--g-norm batch)")):
        iterations(run, born(run), 1, BatchSplit(MicroBatchSizes(run, pytest.fail)))


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("another")])
def test_other_errors_are_not_taken_for_a_lack_of_memory(error: Exception) -> None:
    def fails(inputs: Any) -> Any:
        raise error

    run = run_of("dcgan, wgan")
    split = BatchSplit(MicroBatchSizes(run, pytest.fail))
    inputs = type("Inputs", (), {"labels": torch.zeros(8, 0), "part": ()})()
    with pytest.raises(type(error), match=str(error)):
        split.gradients(run, LEVEL, fails, inputs, [nn.Parameter(torch.zeros(1))])


def test_each_level_has_a_size_of_its_own() -> None:
    run = tiny_run(stddev_group=4, micro_batch=16)
    micro = MicroBatchSizes(run, print_line=lambda line: None)
    assert [micro.size(level, 32) for level in (3, 4)] == [16, 16]
    micro.shrink(4, 32)
    assert [micro.size(level, 32) for level in (3, 4)] == [16, 8]


@pytest.mark.parametrize(
    "asked, n, got", [(0, 24, 24), (24, 24, 24), (99, 24, 24), (23, 24, 12), (5, 24, 4), (4, 24, 4)]
)
def test_a_batch_is_cut_into_the_largest_equal_parts_that_are_allowed(
    asked: int, n: int, got: int
) -> None:
    run = tiny_run(stddev_group=4, micro_batch=asked)
    assert MicroBatchSizes(run, pytest.fail).size(LEVEL, n) == got


def test_a_micro_batch_that_breaks_groups_is_refused() -> None:
    run = tiny_run(stddev_group=4, micro_batch=3)
    with pytest.raises(
        UserError,
        match="--micro-batch 3 is too small for the batch of 8 images at "
        "resolution 16.*--stddev-group",
    ):
        require_micro_batch(run, {4: 8})
    require_micro_batch(tiny_run(stddev_group=4, micro_batch=4), {4: 8})
    with pytest.raises(UserError, match="--d-norm batch"):
        require_micro_batch(tiny_run(d_norm="batch", micro_batch=4), {4: 8})


def test_every_micro_batch_has_a_mask_of_its_own() -> None:
    """Dropout is drawn for each part; equal masks would drop the same features of all of them."""
    run = tiny_run(**(COMMON | dict(dropout=0.5)))
    state, masks = born(run), []
    state.discriminator.blocks["4x4"].dropout.register_forward_hook(
        lambda layer, arguments, out: masks.append((out == 0).flatten().tolist())
    )
    iterations(run, state, 1, in_parts(run, 4))
    # D sees reals, fakes and points between them of each of two parts, G's step fakes.
    assert len(masks) == 2 * 3 + 2
    assert len(set(map(tuple, masks))) == len(masks)
