"""Images held out of training, and images of one class."""

import pickle
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.image_source import ImageSource, Sample
from progan.data.loader import read_batches
from progan.data.pyramid import build_pyramid
from progan.data.reader import (
    ClassSubset,
    Dataset,
    compute_holdout_size,
    draw_holdout_rows,
    open_dataset,
    select_class,
)
from progan.data.writer import write_dataset
from progan.errors import UserError
from tests.builders import noise_dataset, tiny_run

COUNTS, SEEDS = st.integers(1, 300), st.integers(0, 2**32 - 1)
COUNT = 20
IMAGES = np.random.RandomState(0).randint(0, 256, (COUNT, 8, 8, 3)).astype(np.uint8)
CLASSES = np.array([0, 1, 1, 2, 0, 1, 2, 2, 1, 0, 1, 1, 0, 2, 1, 0, 0, 2, 1, 1])
NAMES = ("cat", "red bird", "dog", "nothing")
HELD_OUT = np.array([1, 4, 8, 13, 19])
BIRDS = np.array([1, 2, 5, 8, 10, 11, 14, 18, 19])


@given(st.floats(0, 1, exclude_max=True), COUNTS)
def test_the_size_is_the_rounded_part_and_leaves_some_on_both_sides(
    fraction: float, count: int
) -> None:
    try:
        size = compute_holdout_size(fraction, count)
    except UserError:
        assert fraction * count > count - 1 or count == 1  # the part is nearer to all than to less
        return
    assert 0 < size < count if fraction else size == 0
    assert abs(size - fraction * count) <= 0.5 or size == 1


@pytest.mark.parametrize(
    ("fraction", "count", "size"),
    [(0.0, 1, 0), (0.1, 50, 5), (0.26, 10, 3), (1e-9, 2, 1), (0.001, 10**6, 1000)],
)
def test_sizes(fraction: float, count: int, size: int) -> None:
    assert compute_holdout_size(fraction, count) == size


@pytest.mark.parametrize(("fraction", "count"), [(0.5, 1), (1e-9, 1), (0.9, 2), (0.99, 10)])
def test_some_must_be_left_to_train_on(fraction: float, count: int) -> None:
    images = f"{count} image{'s' * (count != 1)}"
    with pytest.raises(UserError, match=f"{fraction} of {images} keeps .*smaller fraction"):
        compute_holdout_size(fraction, count)


@given(COUNTS, st.data(), SEEDS)
def test_rows_are_ascending_inside_and_drawn_anew_alike(
    count: int, data: st.DataObject, seed: int
) -> None:
    size = data.draw(st.integers(0, count))
    rows = draw_holdout_rows(size, count, seed)
    assert rows.dtype == "int64"
    assert rows.tolist() == sorted(set(rows.tolist()) & set(range(count)))
    assert len(rows) == size
    assert rows.tolist() == draw_holdout_rows(size, count, seed).tolist()


def test_seeds_draw_every_row_as_often() -> None:
    """2 rows of 5 by 1000 seeds: each about 400 times, 16 to a deviation."""
    draws = [draw_holdout_rows(2, 5, seed).tolist() for seed in range(1000)]
    assert all(abs(sum(row in rows for rows in draws) - 400) < 80 for row in range(5))


def written(dest: Path, *, compress: bool = False, names: tuple[str, ...] = NAMES) -> Dataset:
    write_dataset(
        ImageSource(
            description="noise",
            resolution=8,
            channels=3,
            count=COUNT,
            has_landmarks=True,
            read=lambda row: Sample(IMAGES[row], np.full((5, 2), row, np.float32)),
            labels=CLASSES,
            label_names=names,
            held_out=HELD_OUT,
        ),
        dest,
        compress=compress,
    )
    return Dataset.open(dest)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return written(tmp_path_factory.mktemp("subset") / "zoo")


@pytest.fixture(scope="module")
def birds(whole: Dataset) -> Dataset:
    return select_class(whole, "red bird")


@pytest.mark.parametrize(
    ("name", "label"), [("cat", 0), ("red bird", 1), ("dog", 2), ("0", 0), ("2", 2)]
)
def test_a_class_has_a_name_and_an_index(whole: Dataset, name: str, label: int) -> None:
    chosen = select_class(whole, name)
    assert isinstance(chosen, ClassSubset)
    assert chosen.rows.tolist() == np.flatnonzero(CLASSES == label).tolist()
    assert len(chosen) == (CLASSES == label).sum()


def test_a_name_goes_before_an_index(tmp_path: Path) -> None:
    chosen = select_class(written(tmp_path / "digits", names=("1", "0", "2", "3")), "1")
    assert set(CLASSES[chosen.rows]) == {0}


@pytest.mark.parametrize("level", [2, 3])
def test_images_are_those_of_the_class(birds: Dataset, level: int) -> None:
    rows = np.array([8, 0, 0, 3])
    np.testing.assert_array_equal(
        birds.images(level, rows), build_pyramid(IMAGES)[level][BIRDS[rows]]
    )


def test_compressed_images_are_those_of_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progan.data.writer.COMPRESSED_FROM", 3)
    packed = written(tmp_path / "zoo", compress=True)
    birds, rows = select_class(packed, "red bird"), np.array([8, 0, 3])
    np.testing.assert_array_equal(birds.images(3, rows), IMAGES[BIRDS[rows]])
    assert birds.read_webp(3, rows) == packed.read_webp(3, BIRDS[rows])


def test_labels_and_landmarks_stay_with_their_images(birds: Dataset) -> None:
    rows = np.arange(len(birds))
    assert birds.labels(rows).tolist() == [1] * 9
    assert birds.landmarks(rows)[:, 0, 0].tolist() == BIRDS.tolist()
    assert birds.label_names == NAMES and birds.label_size == 4


def test_what_is_held_out_stays_held_out(birds: Dataset) -> None:
    assert birds.held_out_rows.dtype == birds.training_rows.dtype == np.int64
    assert BIRDS[birds.held_out_rows].tolist() == [1, 8, 19]
    assert BIRDS[birds.training_rows].tolist() == [2, 5, 10, 11, 14, 18]


@pytest.mark.parametrize("row", [-1, 9, COUNT - 1])
def test_rows_outside_are_refused(birds: Dataset, row: int) -> None:
    rows = np.array([0, row])
    for ask in (birds.labels, birds.landmarks, lambda rows: birds.images(3, rows)):
        with pytest.raises(IndexError):
            ask(rows)


def test_no_rows_are_no_images(birds: Dataset) -> None:
    assert birds.images(3, np.arange(0)).shape == (0, 8, 8, 3)


def test_it_travels_between_processes(birds: Dataset) -> None:
    birds.images(3, np.arange(9))
    parcel = pickle.dumps(birds)
    assert len(parcel) < 3000  # no pixels
    other = pickle.loads(parcel)
    assert isinstance(other, ClassSubset) and other.fingerprint == birds.fingerprint
    np.testing.assert_array_equal(other.images(3, np.arange(9)), IMAGES[BIRDS])
    assert other.training_rows.tolist() == birds.training_rows.tolist()


def test_each_class_has_a_name_and_a_fingerprint_of_its_own(whole: Dataset) -> None:
    chosen = [whole, *(select_class(whole, name) for name in ("cat", "red bird", "dog"))]
    assert len({dataset.fingerprint for dataset in chosen}) == 4
    assert [dataset.name for dataset in chosen] == ["zoo", "zoo-cat", "zoo-red bird", "zoo-dog"]
    assert select_class(whole, "1").fingerprint == select_class(whole, "red bird").fingerprint


def test_training_sees_the_class_alone_and_each_image_as_often(birds: Dataset) -> None:
    run = tiny_run(
        resolution=8, label_size=4, batch=6, total_kimg=0.1, training_kimg=0.001, transition_kimg=0
    )
    seen = {}
    for batch in read_batches(birds, run, 0):
        assert batch.labels.argmax(dim=1).tolist() == [1] * 6
        assert batch.drawn_labels.argmax(dim=1).tolist() == [1] * 6
        if batch.images.shape[1] == 8:
            for picture in batch.images.numpy():
                seen[picture.tobytes()] = seen.get(picture.tobytes(), 0) + 1
    training = {IMAGES[row].tobytes() for row in (2, 5, 10, 11, 14, 18)}
    assert set(seen) == training and max(seen.values()) - min(seen.values()) <= 1


def test_an_integer_is_the_index_of_a_class(whole: Dataset, tmp_path: Path) -> None:
    for index in (1, np.int64(1)):
        assert select_class(whole, index).fingerprint == select_class(whole, "1").fingerprint
    assert open_dataset(whole.path, 0).name == select_class(whole, "cat").name
    digits = written(tmp_path / "digits", names=("1", "0", "2", "3"))
    assert select_class(digits, 1).fingerprint == select_class(digits, "0").fingerprint


@pytest.mark.parametrize("name", ["bird", "4", "-1", "", "1.0", 4, -1])
def test_an_unknown_class_is_answered_with_the_known_ones(
    whole: Dataset, name: str | SupportsIndex
) -> None:
    with pytest.raises(UserError) as caught:
        select_class(whole, name)
    assert str(caught.value) == (
        f"--subset {name}: {whole.path} has no such class. Classes: "
        "0 cat, 1 red bird, 2 dog, 3 nothing."
    )


def test_of_many_classes_the_first_are_named(tmp_path: Path) -> None:
    many = noise_dataset(tmp_path / "many", resolution=4, count=25, classes=25)
    with pytest.raises(UserError, match="18 class-18, 19 class-19 …\\.$"):
        select_class(many, "ant")


def test_a_dataset_without_classes_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--subset 0: .*plain has no classes"):
        select_class(noise_dataset(tmp_path / "plain", resolution=4, count=2), "0")


def test_a_class_needs_an_image_to_train_on(whole: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no image of it to train on"):
        select_class(whole, "nothing")
    write_dataset(
        ImageSource(
            description="",
            resolution=8,
            channels=3,
            count=2,
            read=lambda row: Sample(IMAGES[row]),
            labels=np.array([0, 1]),
            label_names=("a", "b"),
            held_out=np.array([1]),
        ),
        tmp_path / "d",
    )
    with pytest.raises(UserError, match="--subset b: .*no image of it to train on"):
        select_class(Dataset.open(tmp_path / "d"), "b")
