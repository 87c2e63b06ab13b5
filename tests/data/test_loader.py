"""The loader, the order of images, and how reals are faded."""

import math
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan import schedule
from progan.batch_split import Shard
from progan.config import override
from progan.data.loader import (
    MAX_PREFETCHED,
    Batch,
    DeviceImageCache,
    Prefetcher,
    ReadingCancelled,
    ShuffledRows,
    prefetch_batches,
    read_batches,
    read_one_hot_labels,
)
from progan.data.reader import Dataset
from progan.training.step_inputs import preprocess_reals
from tests.builders import noise_dataset, tiny_run

COUNTS, SEEDS = st.integers(1, 30), st.integers(0, 2**40)
LODS = ("0.0", "0.25", "0.4", "0.999", "1.0", "1.5", "2.0", "2.9", "3.0")
CPU = torch.device("cpu")
COUNT, CLASSES = 30, 3
SHORT = dict(total_kimg=0.4, training_kimg=0.08, transition_kimg=0.08, batch=8, minibatch_repeats=2)
RUN = tiny_run(**SHORT, label_size=CLASSES, d_repeats=2, batch_at=((8, 5),), seed=11)


@given(COUNTS, SEEDS, st.integers(0, 5))
def test_each_epoch_shows_each_row_once(count: int, seed: int, epoch: int) -> None:
    rows = ShuffledRows(count, seed).rows(epoch * count, count)
    assert sorted(rows.tolist()) == list(range(count))


@given(COUNTS, SEEDS, st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_stretches_add_up_to_the_stream(count: int, seed: int, sizes: list[int]) -> None:
    starts = np.cumsum([0, *sizes])
    whole = ShuffledRows(count, seed).rows(0, int(starts[-1]))
    shuffle = ShuffledRows(count, seed)
    pieces = [shuffle.rows(int(start), size) for start, size in zip(starts, sizes, strict=False)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


@given(COUNTS, SEEDS, st.lists(st.tuples(st.integers(0, 200), st.integers(1, 40)), max_size=6))
def test_stretches_can_be_asked_for_in_any_order(
    count: int, seed: int, stretches: list[tuple[int, int]]
) -> None:
    whole, shuffle = ShuffledRows(count, seed).rows(0, 240), ShuffledRows(count, seed)
    for start, size in stretches:
        np.testing.assert_array_equal(shuffle.rows(start, size), whole[start : start + size])


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = [
        tuple(ShuffledRows(50, seed).rows(50 * epoch, 50)) for seed in (0, 1) for epoch in (0, 1)
    ]
    assert len(set(orders)) == 4


def test_every_row_gets_everywhere() -> None:
    """Where row 0 lands in 2000 epochs of 5: each place about 400 times, 18 to a deviation."""
    epochs = ShuffledRows(5, 0).rows(0, 10_000).reshape(2000, 5)
    times = (epochs == 0).sum(axis=0)
    assert (abs(times - 400) < 90).all()


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden/process_reals.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lod", LODS)
def test_the_official_reals(golden: dict[str, np.ndarray], lod: str, channels: int) -> None:
    """The official ones were enlarged to 32x32 afterwards: every step-th pixel is ours."""
    key = f"C{channels}/lod{lod}"
    expected = golden[f"{key}/out"]
    step = 32 // golden[f"{key}/in"].shape[-1]
    fraction = float(lod) - math.floor(float(lod))
    reals = preprocess_reals(
        torch.from_numpy(golden[f"{key}/in"].transpose(0, 2, 3, 1)),
        alpha=torch.tensor(1 - fraction) if fraction else None,
    )
    assert reals.dtype == torch.float32
    enlarged = reals.numpy().repeat(step, axis=2).repeat(step, axis=3)
    np.testing.assert_allclose(enlarged, expected, rtol=0, atol=1e-6)


def test_the_golden_file_has_nothing_else(golden: dict[str, np.ndarray]) -> None:
    assert {key.split("lod")[1].split("/")[0] for key in golden} == set(LODS)


def noise() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3)).astype(np.uint8))


@pytest.mark.parametrize("alpha", [None, torch.tensor(0.3)])
def test_only_the_images_named_are_mirrored(alpha: torch.Tensor | None) -> None:
    plain = preprocess_reals(noise(), alpha=alpha)
    mirror = torch.tensor([True, False, False, True])
    mirrored = preprocess_reals(noise(), mirror=mirror, alpha=alpha)
    for index, flipped in enumerate(mirror):
        left_to_right = plain[index].flip(-1)
        assert not torch.equal(left_to_right, plain[index])
        expected = left_to_right if flipped else plain[index]
        np.testing.assert_allclose(mirrored[index], expected, rtol=0, atol=1e-6)


def test_pixels_keep_their_places() -> None:
    images = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    images[0, 1, 2, 0] = 255
    reals = preprocess_reals(images)
    assert reals[0, 0, 1, 2] == 1
    assert (reals == -1).sum() == reals.numel() - 1


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dest = tmp_path_factory.mktemp("loader") / "noise"
    return noise_dataset(dest, count=COUNT, classes=CLASSES)


def assert_same(batches: list[Batch], expected: list[Batch]) -> None:
    assert len(batches) == len(expected)
    for ours, theirs in zip(batches, expected, strict=True):
        assert torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
        assert torch.equal(ours.drawn_labels, theirs.drawn_labels)


def numbered(count: int) -> Iterator[Batch]:
    for number in range(count):
        yield Batch(torch.full((1, 1, 1, 1), number), torch.zeros(1, 0), torch.zeros(1, 0))


def numbers(batches: Iterator[Batch]) -> list[int]:
    return [int(batch.images) for batch in batches]


def test_batches_follow_the_schedule_and_the_shuffle(dataset: Dataset) -> None:
    batches = list(read_batches(dataset, RUN, 0))
    sizes = [
        stage.batch
        for _, stage in schedule.iterate_rounds(RUN.growth, RUN.network, 0)
        for _ in range(2 * 2)  # two repeats of two discriminator steps
    ]
    levels = [
        stage.level
        for _, stage in schedule.iterate_rounds(RUN.growth, RUN.network, 0)
        for _ in range(2 * 2)
    ]
    assert [len(batch.images) for batch in batches] == sizes
    assert set(sizes) == {5, 8} and set(levels) == {2, 3, 4}
    order = ShuffledRows(COUNT, RUN.seed).rows(0, sum(sizes))
    for batch, level, rows in zip(
        batches, levels, np.split(order, np.cumsum(sizes)[:-1]), strict=True
    ):
        assert batch.images.dtype == torch.uint8
        np.testing.assert_array_equal(batch.images, dataset.images(level, rows))
        np.testing.assert_array_equal(batch.labels, np.eye(CLASSES)[rows % CLASSES])


def test_a_resumed_run_sees_the_same_batches(dataset: Dataset) -> None:
    whole = list(read_batches(dataset, RUN, 0))
    starts = [images_seen for images_seen, _ in schedule.iterate_rounds(RUN.growth, RUN.network, 0)]
    assert len(starts) > 5
    for number, images_seen in enumerate(starts):
        assert_same(list(read_batches(dataset, RUN, images_seen)), whole[4 * number :])


def test_a_run_that_is_resumed_inside_of_a_round_sees_the_same_batches(dataset: Dataset) -> None:
    whole, number = list(read_batches(dataset, RUN, 0)), 0
    for start, stage in schedule.iterate_rounds(RUN.growth, RUN.network, 0):
        for step in range(2 * 2):
            images_seen = start + step * stage.batch
            assert_same(list(read_batches(dataset, RUN, images_seen, start)), whole[number:])
            number += 1
    assert number == len(whole)


def test_drawn_labels_are_one_hot_and_drawn_from_the_dataset(dataset: Dataset) -> None:
    drawn = torch.cat([batch.drawn_labels for batch in read_batches(dataset, RUN, 0)])
    real = torch.cat([batch.labels for batch in read_batches(dataset, RUN, 0)])
    assert (drawn.dtype, drawn.shape[1]) == (torch.float32, CLASSES)
    assert set(map(tuple, drawn.tolist())) == set(map(tuple, np.eye(CLASSES).tolist()))
    assert not torch.equal(drawn, real)
    assert (abs(drawn.mean(dim=0) - 1 / CLASSES) < 0.1).all()  # as often as in the dataset


def test_training_never_sees_what_is_held_out(tmp_path: Path) -> None:
    """Each image has a class of its own, which tells what was read and what was drawn."""
    dataset = noise_dataset(tmp_path / "noise", count=COUNT, classes=COUNT, holdout=0.3)
    assert len(dataset.held_out_rows) == 9
    batches = list(
        read_batches(dataset, replace(RUN, network=replace(RUN.network, label_size=COUNT)), 0)
    )
    order = np.concatenate([batch.labels.argmax(dim=1) for batch in batches])
    drawn = np.concatenate([batch.drawn_labels.argmax(dim=1) for batch in batches])
    assert set(order.tolist()) == set(drawn.tolist()) == set(dataset.training_rows.tolist())
    assert sorted(order[:21]) == sorted(order[21:42]) == dataset.training_rows.tolist()
    for batch in batches:
        level = int(np.log2(batch.images.shape[1]))
        np.testing.assert_array_equal(
            batch.images, dataset.images(level, batch.labels.argmax(dim=1).numpy())
        )


def test_the_seed_changes_the_order(dataset: Dataset) -> None:
    first, other = (next(read_batches(dataset, tiny_run(**SHORT, seed=seed), 0)) for seed in (0, 1))
    assert not torch.equal(first.images, other.images)


def test_without_classes_there_are_no_labels(dataset: Dataset) -> None:
    batch = next(read_batches(dataset, tiny_run(**SHORT), 0))
    assert (batch.labels.shape, batch.drawn_labels.shape) == ((8, 0), (8, 0))


def test_labels_are_one_hot(dataset: Dataset) -> None:
    rows = np.array([0, 4, 5])
    assert read_one_hot_labels(dataset, rows, CLASSES).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert read_one_hot_labels(dataset, rows, 0).shape == (3, 0)


def test_the_thread_changes_nothing(dataset: Dataset) -> None:
    prefetch = Prefetcher(read_batches(dataset, RUN, 0), CPU)
    assert_same(list(prefetch), list(read_batches(dataset, RUN, 0)))
    assert prefetch.wait_seconds > 0
    prefetch.close()


@pytest.mark.parametrize("share", [Shard(0, 1), Shard(1, 2)])
@pytest.mark.parametrize("budget_bytes", [0, COUNT * 3 * 8**2, 2**20])
def test_levels_that_stay_on_the_device_change_nothing(
    dataset: Dataset, budget_bytes: int, share: Shard
) -> None:
    """Nor does it matter where a run is resumed: at the start, inside of a round, at a level."""
    run = override(RUN, {"batch_at": ((8, 4),), "stddev_group": 2})
    rounds = list(schedule.iterate_rounds(run.growth, run.network, 0))
    steps = [(start + step * stage.batch, start) for start, stage in rounds for step in range(4)]
    for seen, start in (steps[0], steps[5], steps[len(steps) // 2]):
        lines: list[str] = []
        batches = prefetch_batches(
            dataset, run, CPU, seen, start, share, budget_bytes, lines.append
        )
        assert_same(list(batches), list(read_batches(dataset, run, seen, start, share)))
        batches.close()
        levels = {stage.level for at, stage in rounds if at >= start}
        assert len(lines) == sum(COUNT * 3 * 4**level <= budget_bytes for level in levels)


def test_batches_are_few_ahead() -> None:
    asked = []

    def counting() -> Iterator[Batch]:
        for batch in numbered(50):
            asked.append(batch)
            yield batch

    prefetch = Prefetcher(counting(), CPU)
    assert numbers(islice(prefetch, 3)) == [0, 1, 2]
    # Those in the queue, the one that the thread holds, and the one on its way.
    assert len(asked) <= 3 + MAX_PREFETCHED + 2
    prefetch.close()


def test_an_error_in_the_thread_surfaces_where_the_batch_was_due() -> None:
    def failing() -> Iterator[Batch]:
        yield from numbered(2)
        raise OSError("the disk is gone")

    prefetch = Prefetcher(failing(), CPU)
    assert numbers(islice(prefetch, 2)) == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(prefetch)
    assert list(prefetch) == []
    prefetch.close()


def test_after_the_last_batch_there_are_no_more() -> None:
    prefetch = Prefetcher(numbered(2), CPU)
    assert numbers(prefetch) == [0, 1]
    assert list(prefetch) == []
    prefetch.close()
    assert list(prefetch) == []


def test_what_is_waited_for_is_measured_and_nothing_else() -> None:
    ready = threading.Event()

    def slow() -> Iterator[Batch]:
        ready.wait()
        yield from numbered(3)

    prefetch, soon = Prefetcher(slow(), CPU), threading.Timer(0.5, ready.set)
    soon.start()
    next(prefetch)
    assert prefetch.wait_seconds > 0.05
    prefetch.wait_seconds = 0.0
    time.sleep(0.5)  # the training's own time, in which the others are read
    assert numbers(prefetch) == [1, 2]
    assert prefetch.wait_seconds < 0.4
    prefetch.close()


def test_close_gives_up_what_is_being_made() -> None:
    stop, begun = threading.Event(), threading.Event()

    def long() -> Iterator[Batch]:
        begun.set()
        stop.wait()
        raise ReadingCancelled
        yield

    prefetch = Prefetcher(long(), CPU, stop)
    begun.wait()
    prefetch.close()
    assert list(prefetch) == []


def test_images_are_gone_once_the_batches_are_closed(dataset: Dataset) -> None:
    """Those of the next batches, after a run went back, need their place."""
    images = DeviceImageCache(dataset, CPU, 2**20)
    gone = weakref.ref(images)
    prefetch = Prefetcher(read_batches(dataset, RUN, 0, images=images), CPU)
    del images
    next(prefetch)
    assert gone() is not None
    prefetch.close()
    assert gone() is None


@pytest.mark.parametrize("taken", [0, 1])
def test_close_ends_the_thread_though_nobody_takes_its_batches(taken: int) -> None:
    before = threading.active_count()
    prefetch = Prefetcher(numbered(1000), CPU)
    assert numbers(islice(prefetch, taken)) == list(range(taken))
    assert threading.active_count() == before + 1
    prefetch.close()
    assert threading.active_count() == before


def test_a_finished_run_has_no_batches(dataset: Dataset) -> None:
    run = tiny_run(**SHORT)
    assert list(read_batches(dataset, run, int(run.growth.total_kimg * 1000))) == []
