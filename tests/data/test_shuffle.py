"""An endless stream of rows, each epoch a permutation."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from progan.data.shuffle import Shuffle

COUNTS, SEEDS = st.integers(1, 30), st.integers(0, 2**40)


@given(COUNTS, SEEDS, st.integers(0, 5))
def test_each_epoch_shows_each_row_once(count: int, seed: int, epoch: int) -> None:
    rows = Shuffle(count, seed).rows(epoch * count, count)
    assert sorted(rows.tolist()) == list(range(count))


@given(COUNTS, SEEDS, st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_stretches_add_up_to_the_stream(count: int, seed: int, sizes: list[int]) -> None:
    starts = np.cumsum([0, *sizes])
    whole = Shuffle(count, seed).rows(0, int(starts[-1]))
    shuffle = Shuffle(count, seed)
    pieces = [shuffle.rows(int(start), size) for start, size in zip(starts, sizes, strict=False)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@given(COUNTS, SEEDS, st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=6))
def test_stretches_can_be_asked_for_in_any_order(
    count: int, seed: int, stretches: list[tuple[int, int]]
) -> None:
    whole, shuffle = Shuffle(count, seed).rows(0, 240), Shuffle(count, seed)
    for start, size in stretches:
        np.testing.assert_array_equal(shuffle.rows(start, size), whole[start:start + size])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [tuple(Shuffle(50, seed).rows(50 * epoch, 50)) for seed in (0, 1) for epoch in (0, 1)]
    assert len(set(orders)) == 4


def test_every_row_gets_everywhere() -> None:
    """Where row 0 lands in 2000 epochs of 5: each place about 400 times, 18 to a deviation."""
    epochs = Shuffle(5, 0).rows(0, 10_000).reshape(2000, 5)
    times = (epochs == 0).sum(axis=0)
    assert (abs(times - 400) < 90).all()
