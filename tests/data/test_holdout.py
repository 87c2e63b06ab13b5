"""As many images as a fraction says stay away from training, drawn by a seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.holdout import holdout_rows, holdout_size
from progan.errors import UserError

COUNTS, SEEDS = st.integers(1, 300), st.integers(0, 2**32 - 1)


@given(st.floats(0, 1, exclude_max=True), COUNTS)
def test_the_size_is_the_rounded_part_and_leaves_some_on_both_sides(
    fraction: float, count: int
) -> None:
    try:
        size = holdout_size(fraction, count)
    except UserError:
        assert fraction * count > count - 1 or count == 1  # the part is nearer to all than to less
        return
    assert 0 < size < count if fraction else size == 0
    assert abs(size - fraction * count) <= 0.5 or size == 1


@pytest.mark.parametrize(("fraction", "count", "size"), [
    (0.0, 1, 0), (0.1, 50, 5), (0.26, 10, 3), (1e-9, 2, 1), (0.001, 10**6, 1000)])
def test_sizes(fraction: float, count: int, size: int) -> None:
    assert holdout_size(fraction, count) == size


@pytest.mark.parametrize(("fraction", "count"), [(0.5, 1), (1e-9, 1), (0.9, 2), (0.99, 10)])
def test_some_must_be_left_to_train_on(fraction: float, count: int) -> None:
    images = f"{count} image{'s' * (count != 1)}"
    with pytest.raises(UserError, match=f"{fraction} of {images} keeps .*smaller fraction"):
        holdout_size(fraction, count)


@given(COUNTS, st.data(), SEEDS)
def test_rows_are_ascending_inside_and_drawn_anew_alike(
    count: int, data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(0, count))
    rows = holdout_rows(size, count, seed)
    assert rows.dtype == "int64"
    assert rows.tolist() == sorted(set(rows.tolist()) & set(range(count)))
    assert len(rows) == size
    assert rows.tolist() == holdout_rows(size, count, seed).tolist()


def test_seeds_draw_every_row_as_often() -> None:
    """2 rows of 5 by 1000 seeds: each about 400 times, 16 to a deviation."""
    draws = [holdout_rows(2, 5, seed).tolist() for seed in range(1000)]
    assert all(abs(sum(row in rows for rows in draws) - 400) < 80 for row in range(5))
