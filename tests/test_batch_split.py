"""Parts of a batch hold whole groups of the minibatch standard deviation, whatever their number."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan.batch_split import (
    Shard,
    compute_min_independent_size,
    describe_batch_coupling,
    list_split_sizes,
    require_splittable,
    select_shard_rows,
    split_rows_into_parts,
)
from progan.config import Run
from progan.errors import UserError
from progan.ops import append_minibatch_stddev
from progan.presets import PRESETS, preset
from tests.builders import tiny_run

GROUPED = st.builds(
    lambda group, mixed: tiny_run(stddev_group=group, mixed_batches=mixed, objective="gan"),
    st.integers(0, 9),
    st.booleans(),
)
BATCHES = st.integers(1, 40)


@given(GROUPED, BATCHES)
def test_every_part_sees_the_deviations_of_the_whole(run: Run, n: int) -> None:
    group = run.network.stddev_group
    reals, fakes = torch.randn(
        2, n, 1, 2, 2, generator=torch.Generator().manual_seed(n), dtype=torch.float64
    )
    for size in list_split_sizes(run, n):
        parts = split_rows_into_parts(run, n, n // size)
        assert parts.shape == (n // size, size)
        assert sorted(parts.flatten()) == list(range(n))
        for part in map(torch.from_numpy, parts if group else ()):
            torch.testing.assert_close(
                append_minibatch_stddev(reals[part], group),
                append_minibatch_stddev(reals, group)[part],
            )
            if run.loss.mixed_batches:
                both = append_minibatch_stddev(torch.cat([reals, fakes]), group)
                some = append_minibatch_stddev(torch.cat([reals[part], fakes[part]]), group)
                torch.testing.assert_close(some, torch.cat([both[:n][part], both[n:][part]]))


@given(GROUPED, BATCHES)
def test_a_part_can_be_cut_again_like_a_batch(run: Run, n: int) -> None:
    for size in list_split_sizes(run, n):
        assert set(list_split_sizes(run, size)) == {
            each for each in list_split_sizes(run, n) if size % each == 0
        }


@pytest.mark.parametrize(
    "group, mixed, n, expected",
    [
        (4, False, 16, [16, 8, 4]),
        (4, False, 12, [12, 4]),
        (4, False, 6, [6, 3]),  # groups of 3
        (4, False, 14, [14, 2]),  # groups of 2: four images would be one of 4
        (16, False, 14, [14]),  # one group
        (16, False, 3, [3]),
        (4, True, 8, [8, 4]),  # two reals and two fakes are a group, but the generator needs 4
        (0, False, 6, [6, 3, 2, 1]),
    ],
)
def test_sizes_of_parts(group: int, mixed: bool, n: int, expected: list[int]) -> None:
    run = tiny_run(stddev_group=group, mixed_batches=mixed, objective="gan")
    assert list_split_sizes(run, n) == expected
    assert compute_min_independent_size(run, n) == expected[-1]


def test_autoencoders_have_no_groups() -> None:
    run = tiny_run(kind="autoencoder", objective="began", stddev_group=4, g_norm="none")
    assert list_split_sizes(run, 4) == [4, 2, 1]


def test_the_official_schedules_fit_two_to_eight_gpus() -> None:
    for gpus in (2, 4, 8):
        run = preset(f"v2-{gpus}gpus")
        for n in (run.growth.batch, *dict(run.growth.batch_at).values()):
            require_splittable(run, {4: n}, min(gpus, n // 4))


def test_a_process_has_the_rows_of_its_number() -> None:
    run = tiny_run(stddev_group=4)
    assert select_shard_rows(run, 8, Shard(1, 2)).tolist() == [1, 3, 5, 7]  # of strides 2
    assert select_shard_rows(run, 8, Shard(0, 1)).tolist() == list(range(8))


@pytest.mark.parametrize(
    "overrides, words",
    [
        (dict(g_norm="batch"), "batch normalisation (--g-norm batch)"),
        (dict(d_norm="batch"), "batch normalisation (--d-norm batch)"),
        (dict(minibatch_kernels=3), "--minibatch-kernels 3"),
        (dict(kind="autoencoder", objective="ebgan"), "--pulling-away 0.1"),
        (dict(objective="dragan", kind="dcgan"), "spread of all reals"),
    ],
)
def test_what_couples_a_batch_is_named_and_refused(
    overrides: dict[str, object], words: str
) -> None:
    run = tiny_run(**overrides)
    assert words in describe_batch_coupling(run)
    with pytest.raises(UserError, match=re.escape(words)):
        require_splittable(run, {4: 8}, 2)
    require_splittable(run, {4: 8}, 1)


def test_the_presets_that_couple_nothing_are_these() -> None:
    free = {name for name in PRESETS if not describe_batch_coupling(preset(name))}
    assert {"v2-8gpus", "demo", "cpu", "began", "table1-h"} <= free
    assert not free & {"dcgan", "ebgan", "dragan", "table1-a", "table1-e-star"}


def test_a_batch_that_cannot_be_shared_is_refused_with_the_numbers_that_could() -> None:
    run = tiny_run(stddev_group=4)
    with pytest.raises(UserError) as error:
        require_splittable(run, {4: 16, 8: 12}, 2)
    assert "12 images at resolution 8" in str(error.value)
    assert "1 or 3 could" in str(error.value) and "multiple of 8" in str(error.value)
    require_splittable(run, {4: 24, 8: 12}, 3)
