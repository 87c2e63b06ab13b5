"""Any rows of any level, in the order they were asked for."""

import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progan.data.format import read_info
from progan.data.image_source import ImageSource, Sample
from progan.data.pyramid import build_pyramid
from progan.data.reader import Dataset, find_damaged_files
from progan.data.summary import describe_dataset
from progan.data.writer import write_dataset
from progan.errors import UserError
from tests.builders import noise_dataset

COUNT = 11
IMAGES = np.random.RandomState(0).randint(0, 256, (COUNT, 16, 16, 3)).astype(np.uint8)
LEVELS = build_pyramid(IMAGES)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose top level is in three files."""
    source = ImageSource(
        description="noise",
        resolution=16,
        channels=3,
        count=COUNT,
        read=lambda row: Sample(IMAGES[row]),
        labels=np.arange(COUNT) // 6,
        label_names=("low", "high"),
    )
    dest = tmp_path_factory.mktemp("reader") / "noise"
    write_dataset(source, dest, options={"seed": None}, max_shard_bytes=128 + 4 * 768)
    return dest


@settings(deadline=None)
@given(level=st.integers(2, 4), rows=st.lists(st.integers(0, COUNT - 1), max_size=20))
def test_rows_come_in_the_order_asked_for(path: Path, level: int, rows: list[int]) -> None:
    dataset = Dataset.open(path)
    taken = np.array(rows, dtype=np.int64)
    images = dataset.images(level, taken)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, LEVELS[level][taken])
    assert dataset.labels(taken).tolist() == [row // 6 for row in rows]


def test_the_top_level_is_in_three_files(path: Path) -> None:
    assert len(list(path.glob("level-04.*.npy"))) == 3


def test_threads_open_files_one_after_the_other(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, load, inside, most = Dataset.open(path), np.load, [], []

    def slow(*words: Any, **options: Any) -> Any:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.005)
        inside.pop()
        return load(*words, **options)

    monkeypatch.setattr(np, "load", slow)
    with ThreadPoolExecutor(4) as pool:
        images = list(
            pool.map(lambda row: dataset.images(2 + row % 3, np.array([row]))[0], range(COUNT))
        )
    assert set(most) == {1}
    for row, image in enumerate(images):
        np.testing.assert_array_equal(image, LEVELS[2 + row % 3][row])


def test_what_is_returned_is_ours_to_change(path: Path) -> None:
    for level in (3, 4):
        images = Dataset.open(path).images(level, np.arange(2))
        images[:] = 0
        np.testing.assert_array_equal(
            Dataset.open(path).images(level, np.arange(2)), LEVELS[level][:2]
        )


@pytest.mark.parametrize("rows", [[-1], [COUNT], [0, 3, 99]])
@pytest.mark.parametrize("level", [2, 4])
def test_rows_outside_are_refused(path: Path, level: int, rows: list[int]) -> None:
    dataset = Dataset.open(path)
    with pytest.raises(IndexError, match="of 11 images"):
        dataset.images(level, np.array(rows))
    with pytest.raises(IndexError, match="of 11 images"):
        dataset.labels(np.array(rows))


def test_a_dataset_tells_what_it_is(path: Path) -> None:
    dataset = Dataset.open(str(path))
    assert (dataset.name, dataset.resolution, dataset.channels, len(dataset)) == (
        "noise",
        16,
        3,
        COUNT,
    )
    assert (dataset.label_size, dataset.label_names) == (2, ("low", "high"))
    assert dataset.fingerprint == read_info(path).fingerprint
    with pytest.raises(ValueError, match="has no landmarks"):
        dataset.landmarks(np.arange(1))


def test_files_are_mapped_when_they_are_needed(path: Path) -> None:
    dataset = Dataset.open(path)
    assert not dataset._maps
    dataset.images(4, np.array([0, 10]))
    assert set(dataset._maps) == {"level-04.000.npy", "level-04.002.npy"}
    assert not any(array.flags.writeable for array in dataset._maps.values())


def test_a_pickled_dataset_carries_no_pixels(path: Path) -> None:
    dataset = Dataset.open(path)
    dataset.images(4, np.arange(COUNT))
    data = pickle.dumps(dataset)
    assert len(data) < 4000 < LEVELS[4].nbytes
    np.testing.assert_array_equal(pickle.loads(data).images(4, np.arange(COUNT)), LEVELS[4])


def held_out(dest: Path, rows: list[int]) -> Dataset:
    """A dataset of 16 images, 4 of them held out, whose list of these says `rows`."""
    dataset = noise_dataset(dest, resolution=4, count=16, holdout=0.25)
    array = np.load(dest / "holdout.npy")
    assert array.shape == (4,)
    array[:] = rows
    np.save(dest / "holdout.npy", array)
    return dataset


def test_rows_are_held_out_or_trained_on(tmp_path: Path) -> None:
    dataset = held_out(tmp_path / "d", [0, 3, 4, 15])
    assert dataset.held_out_rows.tolist() == [0, 3, 4, 15]
    assert dataset.training_rows.tolist() == [1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]
    assert dataset.training_rows is dataset.training_rows
    for rows in (dataset.held_out_rows, dataset.training_rows):
        assert rows.dtype == np.int64
        with pytest.raises(ValueError, match="read-only"):
            rows[0] = 1


def test_without_a_holdout_all_rows_are_trained_on(path: Path) -> None:
    dataset = Dataset.open(path)
    assert dataset.training_rows.tolist() == list(range(COUNT))
    assert (dataset.held_out_rows.dtype, dataset.held_out_rows.tolist()) == (np.int64, [])
    assert not dataset._maps


@pytest.mark.parametrize(
    "rows",
    [
        [-1, 3, 4, 15],
        [0, 3, 4, 16],
        [0, 4, 3, 15],
        [0, 3, 3, 15],
        [0, 99, 4, 15],
        [2**63 - 1, -(2**63), 4, 15],
    ],
)
def test_a_damaged_holdout_is_named(tmp_path: Path, rows: list[int]) -> None:
    dataset = held_out(tmp_path / "d", rows)
    for name in ("held_out_rows", "training_rows"):
        with pytest.raises(UserError, match=r"d/holdout\.npy is damaged.* from 0 to 15\. Copy"):
            getattr(dataset, name)
    assert find_damaged_files(dataset.path, dataset.info) == [
        "holdout.npy has other content than when it was written"
    ]


def test_an_incomplete_dataset_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text((path / "dataset.json").read_text())
    with pytest.raises(UserError, match="incomplete: level-02.npy is missing; level-03.npy is"):
        Dataset.open(tmp_path)


def test_an_array_without_its_header_is_named(path: Path, tmp_path: Path) -> None:
    shutil.copytree(path, tmp_path / "d")
    file = tmp_path / "d" / "level-02.npy"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(UserError, match=f"{file} is damaged: its header"):
        Dataset.open(tmp_path / "d").images(2, np.array([0]))


def test_damage_is_found_and_named(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in path.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    info = read_info(copy)
    assert find_damaged_files(copy, info) == []
    with (copy / "level-04.001.npy").open("r+b") as damaged:
        damaged.seek(500)
        damaged.write(bytes([damaged.read(1)[0] ^ 1]))
    (copy / "labels.npy").unlink()
    with (copy / "level-02.npy").open("ab") as longer:
        longer.write(b"x")
    assert find_damaged_files(copy, info) == [
        "level-02.npy has 657 bytes instead of 656",
        "level-04.001.npy has other content than when it was written",
        "labels.npy is missing",
    ]


def test_summary(path: Path) -> None:
    assert describe_dataset(Dataset.open(path)).splitlines() == [
        "name          noise",
        f"path          {path}",
        "images        11",
        "resolution    16x16",
        "channels      3 (RGB)",
        "levels         2  4x4         656 bytes",
        "               3  8x8           2.2 KiB",
        "               4  16x16         8.6 KiB  in 3 files",
        "labels         0  low   6",
        "               1  high  5",
        "landmarks     none",
        "held out      none",
        "skipped       none",
        "source        noise",
        "options       seed: not given",
        "size on disk  11.6 KiB",
        f"fingerprint   {read_info(path).fingerprint}",
    ]


def test_files_that_the_description_leaves_out_are_damage(tmp_path: Path) -> None:
    """A changed dataset.json would train on images that are held out."""
    noise_dataset(tmp_path / "d", resolution=8, count=8, holdout=0.25)
    info = Dataset.open(tmp_path / "d").info
    assert find_damaged_files(tmp_path / "d", info) == []
    (fault,) = find_damaged_files(tmp_path / "d", replace(info, holdout_count=0))
    assert fault == "dataset.json has a checksum of holdout.npy, but no use"


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_without_a_class_is_damage(tmp_path: Path, label: int) -> None:
    dataset = noise_dataset(tmp_path / "noise", classes=3)
    labels = np.load(dataset.path / "labels.npy")
    labels[5] = label
    np.save(dataset.path / "labels.npy", labels)
    found = Dataset.open(dataset.path)
    assert found.labels(np.arange(5)).tolist() == [0, 1, 2, 0, 1]
    with pytest.raises(UserError, match=f"is damaged: there is a label {label}, and names of 3"):
        found.labels(np.arange(6))
