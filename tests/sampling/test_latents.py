"""Latents and labels of seeds, files and classes."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan.config import Network
from progan.errors import UserError
from progan.networks import build_generator
from progan.sampling.latents import (
    available_levels,
    batch_from_file,
    batch_from_seeds,
    choose_class_of_seed,
    replace_class,
    seed_labels,
    seed_latents,
    select_resolution,
)
from progan.sampling.options import parse_seeds
from progan.sampling.snapshot_file import Snapshot
from progan.sizes import Size
from tests.builders import tiny_snapshot

RANGES = st.lists(st.tuples(st.integers(0, 2**32 - 20), st.integers(0, 19)), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("0", [0]),
        ("7,3", [7, 3]),
        ("0-3,7", [0, 1, 2, 3, 7]),
        ("5-5", [5]),
        (" 1 - 2 , 4 ", [1, 2, 4]),
        ("4294967295", [2**32 - 1]),
        ("3,3", [3, 3]),
    ],
)
def test_lists_of_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@given(RANGES)
def test_what_is_written_down_is_read_back(ranges: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" if more else f"{first}" for first, more in ranges)
    assert parse_seeds(text) == [
        seed for first, more in ranges for seed in range(first, first + more + 1)
    ]


@pytest.mark.parametrize(
    "text", ["", "a", "1,,2", "1-", "-1", "1.5", "0x4", "1-2-3", "1;2", "０", "٣"]
)
def test_anything_else_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not a list of seeds such as 0-15,20"):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["5-3", "4294967296", "1,9-8"])
def test_ranges_run_upwards_and_end_where_numpy_ends(text: str) -> None:
    with pytest.raises(UserError, match="ranges run upwards, to 4294967295 at most"):
        parse_seeds(text)


def test_more_seeds_than_anybody_draws_are_refused_at_once() -> None:
    with pytest.raises(UserError, match="more than 1,000,000 images"):
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


@pytest.mark.parametrize(
    ("untrained", "shown"),
    [((), [0, 1, 2, 3, 0]), ((0,), [1, 2, 3, 1, 2]), ((1, 3), [0, 2, 0, 2, 0])],
)
def test_seeds_show_no_class_without_training_images(
    untrained: tuple[int, ...], shown: list[int]
) -> None:
    assert seed_labels(range(5), 4, untrained).argmax(dim=1).tolist() == shown
    assert [choose_class_of_seed(seed, 4, untrained) for seed in range(5)] == shown
    assert seed_labels(range(5), 0).shape == (5, 0)


def test_seeds_become_names_latents_and_classes(with_classes: Snapshot) -> None:
    latent_batch = batch_from_seeds(with_classes, "2,10000")
    assert latent_batch.names == ("seed0002", "seed10000")
    assert torch.equal(latent_batch.latents, seed_latents([2, 10000], 8))
    assert latent_batch.labels.tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_rows_of_a_file_become_images(snapshot: Snapshot, tmp_path: Path, dtype: type) -> None:
    rows = np.random.RandomState(0).randn(3, 8).astype(dtype)
    np.save(tmp_path / "z.npy", rows)
    latent_batch = batch_from_file(snapshot, tmp_path / "z.npy")
    assert latent_batch.names == ("latent0000", "latent0001", "latent0002")
    assert latent_batch.latents.dtype == torch.float32
    np.testing.assert_array_equal(latent_batch.latents, rows.astype(np.float32))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (np.zeros((2, 7)), r"float64 \[2, 7\]"),
        (np.zeros(8), r"float64 \[8\]"),
        (np.zeros((0, 8)), r"float64 \[0, 8\]"),
        (np.zeros((2, 8), int), r"int64 \[2, 8\]"),
        (np.zeros((1, 2, 8), np.float32), r"float32 \[1, 2, 8\]"),
    ],
)
def test_latents_of_another_shape_are_described(
    snapshot: Snapshot, tmp_path: Path, rows: np.ndarray, found: str
) -> None:
    np.save(tmp_path / "z.npy", rows)
    with pytest.raises(UserError, match=rf"holds {found}; this network takes .*float32 \[N, 8\]"):
        batch_from_file(snapshot, tmp_path / "z.npy")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e300])  # which float32 cannot hold
def test_latents_that_are_no_numbers_are_refused(
    snapshot: Snapshot, tmp_path: Path, number: float
) -> None:
    np.save(tmp_path / "z.npy", np.full((2, 8), number))
    with pytest.raises(UserError, match="NaN, infinite"):
        batch_from_file(snapshot, tmp_path / "z.npy")


def test_an_archive_is_no_array(snapshot: Snapshot, tmp_path: Path) -> None:
    np.savez(tmp_path / "z.npz", a=np.zeros((2, 8)))
    with pytest.raises(UserError, match="it is an archive. It should be a .npy file"):
        batch_from_file(snapshot, tmp_path / "z.npz")


def test_a_header_that_promises_terabytes_is_not_believed(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 8)}
    with (tmp_path / "z.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="its header promises 32,000,000,000,000 bytes, and 0 foll"):
        batch_from_file(snapshot, tmp_path / "z.npy")


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n", b"words", b"\x93NUMPY", b"\x93NUMPY\1\0\2\0(("]
)
def test_garbage_gets_no_advice_of_numpy(
    snapshot: Snapshot, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "z.npy").write_bytes(content)
    with pytest.raises(UserError) as caught:
        batch_from_file(snapshot, tmp_path / "z.npy")
    assert "It should be a .npy file of float32 [N, 8]" in str(caught.value)
    assert "pickle" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such pipes here")
def test_a_pipe_is_not_waited_for(snapshot: Snapshot, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "z.npy")
    with pytest.raises(UserError, match="it is not a regular file"):
        batch_from_file(snapshot, tmp_path / "z.npy")


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def test_pickles_are_refused_and_not_executed(snapshot: Snapshot, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    np.save(tmp_path / "z.npy", np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="Cannot read latents from .*z.npy"):
        batch_from_file(snapshot, tmp_path / "z.npy")
    assert not trace.exists()


@pytest.mark.parametrize("content", [None, b"", b"text\n"])
def test_missing_and_foreign_files_are_named(
    snapshot: Snapshot, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "z.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read latents from .*z.npy.*float32 \[N, 8\]"):
        batch_from_file(snapshot, tmp_path / "z.npy")


@pytest.mark.parametrize(("name", "index"), [("3", 0), ("7", 1), ("1", 2), ("0", 0), ("2", 2)])
def test_a_class_is_a_name_first_and_else_an_index(
    with_classes: Snapshot, name: str, index: int
) -> None:
    latent_batch = replace_class(with_classes, batch_from_seeds(with_classes, "0-4"), name)
    assert latent_batch.labels.argmax(dim=1).tolist() == [index] * 5
    assert latent_batch.labels.sum().item() == 5


@pytest.mark.parametrize("name", ["4", "-1", "three", "", "1.0"])
def test_an_unknown_class_is_answered_with_all(with_classes: Snapshot, name: str) -> None:
    with pytest.raises(UserError) as caught:
        replace_class(with_classes, batch_from_seeds(with_classes, "0"), name)
    assert str(caught.value) == f"No such class: {name!r}. Classes: 0 3, 1 7, 2 1."


def test_names_of_classes_are_quoted_in_a_few_words() -> None:
    names = ("a\n--- yaml: [x]", "x" * 3000, *map(str, range(100, 140)))
    snapshot = tiny_snapshot(names)
    with pytest.raises(UserError) as caught:
        replace_class(snapshot, batch_from_seeds(snapshot, "0"), "c\nat")
    said = str(caught.value)
    assert said.startswith(f"No such class: 'c at'. Classes: 0 a --- yaml: [x], 1 {'x' * 79}…, ")
    assert said.endswith(", 19 117, and 22 more, to 41.")


def test_a_network_without_labels_has_no_classes(snapshot: Snapshot) -> None:
    with pytest.raises(UserError, match="--class 3: this network was trained without labels"):
        replace_class(snapshot, batch_from_seeds(snapshot, "0"), "3")


def test_images_are_as_large_as_was_trained_or_smaller() -> None:
    fading = tiny_snapshot(level=4, alpha=0.25)
    assert select_resolution(fading, None) is select_resolution(fading, 16) is fading
    for resolution, level in ((8, 3), (4, 2)):
        lower = select_resolution(fading, resolution)
        assert (lower.level, lower.alpha, lower.generator) == (level, 1.0, fading.generator)


@pytest.mark.parametrize("resolution", [0, 2, 12, 16, 1024, -8])
def test_other_resolutions_are_answered_with_those_there_are(resolution: int) -> None:
    message = f"--resolution {resolution}: .*up to 8; choose one of 4, 8"
    with pytest.raises(UserError, match=message):
        select_resolution(tiny_snapshot(level=3), resolution)


def test_resolutions_below_the_first_trained_one_are_refused() -> None:
    began_at_8 = replace(tiny_snapshot(), first_level=3)
    assert available_levels(began_at_8) == {8: 3, 16: 4}
    with pytest.raises(UserError, match="choose one of 8, 16"):
        select_resolution(began_at_8, 4)


def test_levels_are_named_with_their_size_where_that_is_another() -> None:
    with pytest.raises(UserError, match=r"choose one of 4 \(6x4\), 8 \(12x8\), 16 \(24x16\)"):
        select_resolution(tiny_snapshot(base=Size(4, 6)), 24)


def test_networks_that_do_not_grow_have_one_resolution() -> None:
    snapshot = Snapshot(
        generator=build_generator(Network(kind="dcgan", resolution=16, fmap_base=64)),
        level=4,
        alpha=1.0,
        images_seen=0,
    )
    assert select_resolution(snapshot, 16) is snapshot
    with pytest.raises(UserError, match="choose one of 16"):
        select_resolution(snapshot, 8)
