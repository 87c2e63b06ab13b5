"""Random streams that follow from names and numbers."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan.runtime.seeding import derive_seed, numpy_generator, torch_generator

PARTS = st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4).map(tuple)


# From outside of Python: printf "(0, 'latents', 5)" | b2sum -l 64
@pytest.mark.parametrize(
    ("parts", "digest"),
    [
        ((0, "latents", 5), "bd603effee7f9010"),
        (("a",), "e6d7ac3887b10b57"),
        ((), "9791547bf874064f"),
    ],
)
def test_a_seed_is_a_hash_of_its_parts(parts: tuple[int | str, ...], digest: str) -> None:
    assert derive_seed(*parts) == int.from_bytes(bytes.fromhex(digest), "little") // 2


@given(st.lists(PARTS, unique=True, min_size=2, max_size=20))
def test_different_parts_give_different_seeds_that_torch_takes(
    many: list[tuple[int | str, ...]],
) -> None:
    seeds = [derive_seed(*parts) for parts in many]
    assert len(set(seeds)) == len(many)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_parts_do_not_run_together() -> None:
    alike = [("ab", "c"), ("a", "bc"), ("abc",), (1, 23), (12, 3), ("1", 23), (123,), ("123",)]
    assert len({derive_seed(*parts) for parts in alike}) == len(alike)


def test_a_stream_starts_anew_whenever_it_is_asked_for() -> None:
    draws = [
        torch.randn(5, generator=torch_generator("cpu", *parts)).tolist()
        for parts in ((0, "a"), (0, "b"), (1, "a"), (0, "a"))
    ]
    assert draws[0] == draws[3]
    assert len(set(map(tuple, draws))) == 3
    rows = [
        numpy_generator(*parts).integers(10**9, size=5).tolist()
        for parts in ((0, "a"), (0, "b"), (1, "a"), (0, "a"))
    ]
    assert rows[0] == rows[3]
    assert len(set(map(tuple, rows))) == 3


def test_global_randomness_is_not_touched() -> None:
    before = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    torch.randn(3, generator=torch_generator("cpu", 1))
    numpy_generator(1).permutation(9)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1][1])
    assert random.getstate() == before[2]
