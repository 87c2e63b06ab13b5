"""Batches follow from the schedule and the images seen; a thread prepares them."""

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

from progan import schedule
from progan.config import override
from progan.data.loader import AHEAD, Batch, Prefetch, one_hot, read_ahead, read_batches
from progan.data.reader import Dataset
from progan.data.resident import Abandoned, TrainingImages
from progan.data.shuffle import Shuffle
from progan.partition import Share
from tests.builders import noise_dataset, tiny_run

CPU = torch.device("cpu")
COUNT, CLASSES = 30, 3
SHORT = dict(total_kimg=0.4, training_kimg=0.08, transition_kimg=0.08, batch=8, minibatch_repeats=2)
RUN = tiny_run(**SHORT, label_size=CLASSES, d_repeats=2, batch_at=((8, 5),), seed=11)


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
    sizes = [stage.batch for _, stage in schedule.rounds(RUN.growth, RUN.network, 0)
             for _ in range(2 * 2)]  # two repeats of two critic steps
    levels = [stage.level for _, stage in schedule.rounds(RUN.growth, RUN.network, 0)
              for _ in range(2 * 2)]
    assert [len(batch.images) for batch in batches] == sizes
    assert set(sizes) == {5, 8} and set(levels) == {2, 3, 4}
    order = Shuffle(COUNT, RUN.seed).rows(0, sum(sizes))
    for batch, level, rows in zip(batches, levels, np.split(order, np.cumsum(sizes)[:-1]),
                                  strict=True):
        assert batch.images.dtype == torch.uint8
        np.testing.assert_array_equal(batch.images, dataset.images(level, rows))
        np.testing.assert_array_equal(batch.labels, np.eye(CLASSES)[rows % CLASSES])


def test_a_resumed_run_sees_the_same_batches(dataset: Dataset) -> None:
    whole = list(read_batches(dataset, RUN, 0))
    starts = [images_seen for images_seen, _ in schedule.rounds(RUN.growth, RUN.network, 0)]
    assert len(starts) > 5
    for number, images_seen in enumerate(starts):
        assert_same(list(read_batches(dataset, RUN, images_seen)), whole[4 * number:])


def test_a_run_that_is_resumed_inside_of_a_round_sees_the_same_batches(dataset: Dataset) -> None:
    whole, number = list(read_batches(dataset, RUN, 0)), 0
    for start, stage in schedule.rounds(RUN.growth, RUN.network, 0):
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
    batches = list(read_batches(dataset, replace(RUN, network=replace(
        RUN.network, label_size=COUNT)), 0))
    order = np.concatenate([batch.labels.argmax(dim=1) for batch in batches])
    drawn = np.concatenate([batch.drawn_labels.argmax(dim=1) for batch in batches])
    assert set(order.tolist()) == set(drawn.tolist()) == set(dataset.training_rows.tolist())
    assert sorted(order[:21]) == sorted(order[21:42]) == dataset.training_rows.tolist()
    for batch in batches:
        level = int(np.log2(batch.images.shape[1]))
        np.testing.assert_array_equal(
            batch.images, dataset.images(level, batch.labels.argmax(dim=1).numpy()))


def test_the_seed_changes_the_order(dataset: Dataset) -> None:
    first, other = (next(read_batches(dataset, tiny_run(**SHORT, seed=seed), 0)) for seed in (0, 1))
    assert not torch.equal(first.images, other.images)


def test_without_classes_there_are_no_labels(dataset: Dataset) -> None:
    batch = next(read_batches(dataset, tiny_run(**SHORT), 0))
    assert (batch.labels.shape, batch.drawn_labels.shape) == ((8, 0), (8, 0))


def test_labels_are_one_hot(dataset: Dataset) -> None:
    rows = np.array([0, 4, 5])
    assert one_hot(dataset, rows, CLASSES).tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert one_hot(dataset, rows, 0).shape == (3, 0)


def test_the_thread_changes_nothing(dataset: Dataset) -> None:
    prefetch = Prefetch(read_batches(dataset, RUN, 0), CPU)
    assert_same(list(prefetch), list(read_batches(dataset, RUN, 0)))
    assert prefetch.wait_seconds > 0
    prefetch.close()


@pytest.mark.parametrize("share", [Share(0, 1), Share(1, 2)])
@pytest.mark.parametrize("budget_bytes", [0, COUNT * 3 * 8**2, 2**20])
def test_levels_that_stay_on_the_device_change_nothing(dataset: Dataset, budget_bytes: int,
                                                       share: Share) -> None:
    """Nor does it matter where a run is resumed: at the start, inside of a round, at a level."""
    run = override(RUN, {"batch_at": ((8, 4),), "stddev_group": 2})
    rounds = list(schedule.rounds(run.growth, run.network, 0))
    steps = [(start + step * stage.batch, start) for start, stage in rounds for step in range(4)]
    for seen, start in (steps[0], steps[5], steps[len(steps) // 2]):
        lines: list[str] = []
        batches = read_ahead(dataset, run, CPU, seen, start, share, budget_bytes, lines.append)
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

    prefetch = Prefetch(counting(), CPU)
    assert numbers(islice(prefetch, 3)) == [0, 1, 2]
    assert len(asked) <= 3 + AHEAD + 2  # those in the queue, in the thread's hand, and on its way
    prefetch.close()


def test_an_error_in_the_thread_surfaces_where_the_batch_was_due() -> None:
    def failing() -> Iterator[Batch]:
        yield from numbered(2)
        raise OSError("the disk is gone")

    prefetch = Prefetch(failing(), CPU)
    assert numbers(islice(prefetch, 2)) == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(prefetch)
    assert list(prefetch) == []
    prefetch.close()


def test_after_the_last_batch_there_are_no_more() -> None:
    prefetch = Prefetch(numbered(2), CPU)
    assert numbers(prefetch) == [0, 1]
    assert list(prefetch) == []
    prefetch.close()
    assert list(prefetch) == []


def test_what_is_waited_for_is_measured_and_nothing_else() -> None:
    ready = threading.Event()

    def slow() -> Iterator[Batch]:
        ready.wait()
        yield from numbered(3)

    prefetch, soon = Prefetch(slow(), CPU), threading.Timer(0.2, ready.set)
    soon.start()
    next(prefetch)
    assert prefetch.wait_seconds > 0.05
    prefetch.wait_seconds = 0.0
    time.sleep(0.2)  # the training's own time, in which the others are read
    assert numbers(prefetch) == [1, 2]
    assert prefetch.wait_seconds < 0.2
    prefetch.close()


def test_close_gives_up_what_is_being_made() -> None:
    stop, begun = threading.Event(), threading.Event()

    def long() -> Iterator[Batch]:
        begun.set()
        stop.wait()
        raise Abandoned
        yield

    prefetch = Prefetch(long(), CPU, stop)
    begun.wait()
    prefetch.close()
    assert list(prefetch) == []


def test_images_are_gone_once_the_batches_are_closed(dataset: Dataset) -> None:
    """Those of the next batches, after a run went back, need their place."""
    images = TrainingImages(dataset, CPU, 2**20)
    gone = weakref.ref(images)
    prefetch = Prefetch(read_batches(dataset, RUN, 0, images=images), CPU)
    del images
    next(prefetch)
    assert gone() is not None
    prefetch.close()
    assert gone() is None


@pytest.mark.parametrize("taken", [0, 1])
def test_close_ends_the_thread_though_nobody_takes_its_batches(taken: int) -> None:
    before = threading.active_count()
    prefetch = Prefetch(numbered(1000), CPU)
    assert numbers(islice(prefetch, taken)) == list(range(taken))
    assert threading.active_count() == before + 1
    prefetch.close()
    assert threading.active_count() == before


def test_a_finished_run_has_no_batches(dataset: Dataset) -> None:
    run = tiny_run(**SHORT)
    assert list(read_batches(dataset, run, int(run.growth.total_kimg * 1000))) == []
