"""Seeds -> latents and labels, the same on every machine."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan.errors import UserError
from progan.sampling.latents import class_of_seed, seed_labels, seed_latents
from progan.sampling.options import parse_seeds

RANGES = st.lists(st.tuples(st.integers(0, 2**32 - 20), st.integers(0, 19)), min_size=1, max_size=5)


@pytest.mark.parametrize(("text", "seeds"), [
    ("0", [0]), ("7,3", [7, 3]), ("0-3,7", [0, 1, 2, 3, 7]), ("5-5", [5]),
    (" 1 - 2 , 4 ", [1, 2, 4]), ("4294967295", [2**32 - 1]), ("3,3", [3, 3])])
def test_lists_of_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@given(RANGES)
def test_what_is_written_down_is_read_back(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else f"{first}" for first, more in ranges)
    assert parse_seeds(text) == [seed for first, more in ranges
                                 for seed in range(first, first + more + 1)]


@pytest.mark.parametrize("text", [
    "", "a", "1,,2", "1-", "-1", "1.5", "0x4", "1-2-3", "1;2", "０", "٣"])
def test_anything_else_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not a list of seeds such as 0-15,20"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["5-3", "4294967296", "1,9-8"])
def test_ranges_run_upwards_and_end_where_numpy_ends(text: str) -> None:
    with pytest.raises(UserError, match="ranges run upwards, to 4294967295 at most"):
        parse_seeds(text)


def test_more_seeds_than_anybody_draws_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="more than 1,000,000 pictures"):
        parse_seeds("0-4294967295")


def test_a_seed_is_a_numpy_random_state() -> None:
    latents = seed_latents([3, 0, 2**32 - 1], 7)
    assert latents.dtype == torch.float32
    for row, seed in enumerate([3, 0, 2**32 - 1]):
        expected = np.random.RandomState(seed).randn(1, 7)[0]
        np.testing.assert_array_equal(latents[row], expected.astype(np.float32))


def test_a_seed_means_the_same_whatever_stands_beside_it() -> None:
    assert torch.equal(seed_latents([1, 2, 3], 5)[1:2], seed_latents([2], 5))


def test_seeds_go_through_the_classes() -> None:
    labels = seed_labels([0, 1, 5, 4294967295], 3)
    assert labels.dtype == torch.float32
    assert labels.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert seed_labels([0, 1], 0).shape == (2, 0)


@pytest.mark.parametrize(("untrained", "shown"), [
    ((), [0, 1, 2, 3, 0]), ((0,), [1, 2, 3, 1, 2]), ((1, 3), [0, 2, 0, 2, 0])])
def test_seeds_show_no_class_without_training_images(
    untrained: tuple[int, ...], shown: list[int]
) -> None:
    assert seed_labels(range(5), 4, untrained).argmax(dim=1).tolist() == shown
    assert [class_of_seed(seed, 4, untrained) for seed in range(5)] == shown
    assert seed_labels(range(5), 0).shape == (5, 0)
